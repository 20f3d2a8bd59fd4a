"""Who is measured: how each is started, and what it is asked."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import orjson

from benchmarks.act import KEY, OBSERVATION, free_port
from benchmarks.serving.generator import Request

HERE = Path(__file__).parent
START_SECONDS = 120
JSON, RAW = "application/json", "application/octet-stream"
_KEY = f"Authorization: Bearer {KEY}\r\n"
_BODY = orjson.dumps({"observation": OBSERVATION})
_ROWS = np.random.default_rng(0).standard_normal((128, 17)).astype("<f4")


@dataclass(frozen=True)
class Contender:
    """`command` may have {port}, {model} and {folder}."""

    name: str
    command: tuple[str, ...]
    request: Request
    environment: Mapping[str, str] = field(default_factory=dict)
    batch: Request | None = None


def ours(data: Path) -> list[Contender]:
    command = (sys.executable, "-m", "app.serve", "--port", "{port}")
    environment = {"MRQ_DATA_DIR": str(data), "MRQ_API_KEY": KEY}
    path = "/policies/bench/act"
    one = f"{_KEY}X-Shape: 17\r\n"
    many = f"{_KEY}X-Shape: 128,17\r\n"
    binary = Request(path, RAW, _ROWS[0].tobytes(), one)
    batch = Request(path, RAW, _ROWS.tobytes(), many, rows=len(_ROWS))
    return [
        Contender("ours, JSON", command, Request(path, JSON, _BODY, _KEY), environment),
        Contender("ours, binary", command, binary, environment, batch),
    ]


def floor() -> Contender:
    command = (sys.executable, "-m", "benchmarks.serving.floor", "{port}")
    return Contender("floor: raw ASGI echo", command, Request("/", JSON, _BODY))


def usual() -> Contender:
    command = (sys.executable, "-m", "benchmarks.serving.usual", "{port}")
    return Contender("FastAPI the usual way", command, Request("/act", JSON, _BODY))


def peers(folder: Path, model: Path, scratch: Path) -> list[Contender]:
    """Those that are installed in `folder`, each in its own environment."""
    found = []
    for name, environment, program, path in (
        ("LitServe", "litserve", "litserve_server.py", "/predict"),
        ("Ray Serve", "ray", "ray_server.py", "/"),
    ):
        python = folder / environment / "bin/python"
        if python.exists():
            command = (str(python), str(HERE / "peers" / program), str(model), "{port}")
            found.append(Contender(name, command, Request(path, JSON, _BODY)))
    if (program_of := folder / "mlserver/bin/mlserver").exists():
        found.append(_mlserver(program_of, model, scratch / "mlserver"))
    return found


def _mlserver(program: Path, model: Path, folder: Path) -> Contender:
    folder.mkdir()
    (folder / "mlserver_runtime.py").write_text((HERE / "peers/mlserver_runtime.py").read_text())
    settings = {
        "name": "bench",
        "implementation": "mlserver_runtime.Runtime",
        "parameters": {"uri": str(model)},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))
    # Its fastest way: no hop to a worker process.
    general = {"parallel_workers": 0, "host": "127.0.0.1", "debug": False}
    (folder / "settings.json").write_text(json.dumps(general))
    tensor = {"name": "observation", "shape": [1, 17], "datatype": "FP32", "data": OBSERVATION}
    request = Request("/v2/models/bench/infer", JSON, orjson.dumps({"inputs": [tensor]}))
    ports = {f"MLSERVER_{kind}_PORT": str(free_port()) for kind in ("GRPC", "METRICS")}
    python_path = {"PYTHONPATH": str(folder), "MLSERVER_HTTP_PORT": "{port}"}
    return Contender("MLServer", (str(program), "start", str(folder)), request, ports | python_path)


@contextmanager
def running(contenders: list[Contender], scratch: Path) -> Iterator[dict[str, int]]:
    """Their ports. Equal commands share a server."""
    with ExitStack() as stack:
        ports: dict[tuple[str, ...], int] = {}
        for contender in contenders:
            if contender.command not in ports:
                port = free_port()
                stack.enter_context(_server(contender, port, scratch))
                ports[contender.command] = port
        yield {each.name: ports[each.command] for each in contenders}


@contextmanager
def _server(contender: Contender, port: int, scratch: Path) -> Iterator[None]:
    fill = {"port": str(port)}
    command = [part.format(**fill) for part in contender.command]
    added = {name: text.format(**fill) for name, text in contender.environment.items()}
    log = scratch / f"{contender.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=os.environ | added, stdout=output, stderr=output, process_group=0
        )
    try:
        _wait(contender, port, process, log)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(contender: Contender, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until its own request is answered."""
    deadline = time.monotonic() + START_SECONDS
    while not _answers(contender.request, port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{contender.name} does not answer:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)


def _answers(request: Request, port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(request.to_bytes())
            return connection.recv(12).endswith(b"200")
    except OSError:
        return False
