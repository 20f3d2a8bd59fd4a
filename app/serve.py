"""`python -m app.serve`: the server in this process, on an address or on an inherited socket.

An inherited socket (`--fd`) stays open while the server is started anew, so that clients wait
instead of being refused.
"""

import argparse
import gc
import logging
import socket
import sys

import uvicorn

from app.main import create_app
from app.service import Service
from app.serving.protocol import act_protocol
from store.settings import Settings


def server_config(app: Service, host: str, port: int) -> uvicorn.Config:
    settings: Settings = app.state.settings
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=act_protocol(app.quick),  # on httptools, which has four times h11's rate
        ws="websockets-sansio",
        # A frame a little too large is read, so that its sender hears of it in order.
        ws_max_size=max(settings.max_body_bytes, settings.max_act_bytes) + (64 << 10),
        ws_per_message_deflate=False,  # it would cost more than it saves at these sizes
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=3,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--fd", type=int, action="append", help="listening sockets instead of host and port"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config = server_config(create_app(Settings()), options.host, options.port)
    # What is there by now stays: the collector need not look through it again while clients wait.
    gc.collect()
    gc.freeze()
    # A pass in the thread gets the interpreter back after this time at most, not after 5 ms.
    sys.setswitchinterval(0.0005)
    sockets = options.fd and [socket.socket(fileno=number) for number in options.fd]
    uvicorn.Server(config).run(sockets=sockets)
    return 0


if __name__ == "__main__":
    sys.exit(main())
