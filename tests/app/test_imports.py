"""The server's process stays small and safe: it never loads what trains."""

import subprocess
import sys

FORBIDDEN = ["torch", "celery", "kombu", "gymnasium", "onnx", "worker", "cli"]
PROGRAM = "import sys, app.main; print(','.join(m for m in {names} if m in sys.modules))"


def loaded_of(names: list[str]) -> str:
    run = [sys.executable, "-c", PROGRAM.format(names=names)]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()


def test_the_server_loads_neither_torch_nor_celery() -> None:
    assert loaded_of(FORBIDDEN) == ""


def test_the_check_sees_what_is_loaded() -> None:
    assert loaded_of(["fastapi", "torch"]) == "fastapi"
