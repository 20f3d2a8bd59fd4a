"""The floor of streams: a bare WebSocket echo on the server that the service has, with its
settings. Over HTTP it is `benchmarks.act.echo`."""

import sys
from typing import Any

import uvicorn

from benchmarks.act import echo


async def echo_socket(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        return await echo(scope, receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if (text := message.get("text")) is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})
    return None


if __name__ == "__main__":
    uvicorn.run(
        echo_socket, port=int(sys.argv[1]), http="httptools", loop="uvloop", access_log=False,
        log_level="warning", server_header=False, lifespan="off", ws="websockets-sansio",
        ws_per_message_deflate=False,
    )  # fmt: skip
