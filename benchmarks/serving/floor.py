"""The floor: a raw ASGI echo on the server, and with the settings, that the service has."""

import sys

import uvicorn

from benchmarks.act import echo

if __name__ == "__main__":
    uvicorn.run(
        echo, port=int(sys.argv[1]), http="httptools", loop="uvloop", access_log=False,
        log_level="warning", server_header=False, lifespan="off",
    )  # fmt: skip
