"""What `act` costs over a raw ASGI echo on the same server: `python -m benchmarks.act`.

Both servers run uvicorn with httptools and uvloop, each in a process of its own; the client is
this process. Rounds alternate between the two, so that a busy machine slows both. The policy has
the paper's size: 17 observations, 512 wide, 6 actions.
"""

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import uvicorn

KEY = "benchmark-key-0123456789"
OBSERVATION = [0.1 * index for index in range(17)]
BODY = orjson.dumps({"observation": OBSERVATION})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The floor: reads JSON, writes JSON, knows nothing."""
    if scope["type"] != "http":
        return
    data = orjson.loads((await receive())["body"])
    body = orjson.dumps({"action": data["observation"][:6]})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve_echo(port: int) -> None:
    uvicorn.run(
        echo, port=port, http="httptools", loop="uvloop", access_log=False, log_level="warning",
        lifespan="off",
    )  # fmt: skip


def serve_act(folder: str, port: int) -> None:
    from app.main import create_app
    from app.serve import server_config
    from store.settings import Settings

    app = create_app(Settings(data_dir=Path(folder), api_key=KEY))
    uvicorn.Server(server_config(app, "127.0.0.1", port)).run()


def prepare(folder: str, seed: int = 0) -> None:
    """A job that succeeded with an untrained policy of the paper's size; of the same name as the
    last one's, so that its policy is the next version."""
    from mrq_core.actions import action_codec
    from mrq_core.agent import Agent
    from mrq_core.config import Hyperparameters
    from mrq_core.export import export_policy
    from mrq_core.observations import observation_form
    from mrq_core.policy import policy_of
    from mrq_core.spaces import Box
    from store.database import Database
    from store.jobs import submit_job
    from store.ownership import claim_next
    from store.policies import succeed
    from store.results import EvaluationResult, PolicyBundle, record_evaluation
    from store.schema import migrate
    from store.settings import Settings
    from store.spec import JobSpec

    settings = Settings(data_dir=Path(folder), api_key=KEY)
    database = Database(settings.database_url)
    migrate(database)
    observations = Box((-1.0,) * 17, (1.0,) * 17, (17,))
    actions = Box((-1.0,) * 6, (1.0,) * 6, (6,))
    agent = Agent(Hyperparameters(), (17,), action_codec(actions).action_dim, seed=seed)
    exported = export_policy(
        policy_of(agent),
        environment_id="HalfCheetah-v5",
        environment_kwargs={},
        observation_space=observations,
        action_space=actions,
        hyperparameters=Hyperparameters(),
        step=1,
        weights_sha256="",
        form=observation_form(observations),
        masked=False,
        seen=(np.full(17, -10.0, np.float32), np.full(17, 10.0, np.float32)),
        sample_states=np.zeros((2, 17), np.float32),
    )
    spec = {"name": "bench", "environment": {"id": "HalfCheetah-v5"}, "budget": {"total_steps": 10}}
    submit_job(database, JobSpec.model_validate(spec))
    claim = claim_next(database, settings, "benchmark", "here")
    assert claim is not None
    result = EvaluationResult(
        step=10, action_mode="deterministic", returns=[0.0], lengths=[1], seeds=[0]
    )
    bundle = PolicyBundle(onnx=exported.onnx, manifest=exported.manifest)
    record_evaluation(database, claim, result, bundle, keep=1)
    succeed(database, claim, weights_sha256=None)
    database.dispose()


def in_another_process(target: Callable[..., None], *arguments: object) -> None:
    """Neither torch nor a database's connections belong into the one that measures."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=target, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit("The policies to measure could not be made.")


def request(path: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    return head.encode() + BODY


async def one_client(port: int, message: bytes, until: float, latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        begun = time.perf_counter()
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - begun)
    writer.close()


async def load(port: int, message: bytes, clients: int, seconds: float) -> tuple[float, float]:
    """Requests a second, and the median latency in milliseconds."""
    latencies: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(one_client(port, message, until, latencies) for _ in range(clients)))
    return len(latencies) / seconds, 1000 * statistics.median(latencies)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with TemporaryDirectory() as folder:
        preparing = context.Process(target=prepare, args=(folder,))
        preparing.start()
        preparing.join()
        ports = {"echo": free_port(), "act": free_port()}
        servers = [
            context.Process(target=serve_echo, args=(ports["echo"],)),
            context.Process(target=serve_act, args=(folder, ports["act"])),
        ]
        for server in servers:
            server.start()
        try:
            for port in ports.values():
                wait_for(port)
            for clients in (1, 16):
                compare(uvloop.run, ports, clients, options.rounds, options.seconds)
        finally:
            for server in servers:
                server.terminate()
                server.join()


def compare(
    run: Callable[..., Any], ports: dict[str, int], clients: int, rounds: int, seconds: float
) -> None:
    messages = {"echo": request("/"), "act": request("/policies/bench/act")}
    found: dict[str, list[tuple[float, float]]] = {"echo": [], "act": []}
    for index in range(rounds + 1):
        for name, port in ports.items():
            measured = run(load(port, messages[name], clients, seconds))
            if index:  # the first round warms up
                found[name].append(measured)
    rates = {name: statistics.median(rate for rate, _ in runs) for name, runs in found.items()}
    p50s = {name: statistics.median(p50 for _, p50 in runs) for name, runs in found.items()}
    print(f"{clients:3d} clients, medians of {rounds} rounds of {seconds} s:")
    for name in found:
        print(f"  {name:5s} {rates[name]:8.0f} requests/s   p50 {p50s[name]:6.3f} ms")
    print(
        f"  ratio {rates['act'] / rates['echo']:8.2f} of its rate   "
        f"{p50s['act'] / p50s['echo']:6.2f} times its p50"
    )


if __name__ == "__main__":
    main()
