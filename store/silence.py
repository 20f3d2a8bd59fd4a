"""How long a connection waits for a sign of life from a host that may be cut off.

A cut link says nothing. Left to Linux, a connection with something to send tries for a quarter of
an hour, and one that only waits for an answer first looks after two hours. Timeouts of the server
do not help: its word is what does not come. docs/decisions/cut-links.md
"""

import socket

CONNECT_SECONDS = 5
# Asked for a sign after so long without traffic, and then so often.
IDLE_SECONDS = 5
AGAIN_SECONDS = 2
# What was sent, or asked, and not acknowledged for so long ends the connection.
SILENT_SECONDS = 10

# For `setsockopt` at the level of TCP. SILENT_SECONDS decides, not a number of unanswered signs.
OPTIONS = {
    socket.TCP_KEEPIDLE: IDLE_SECONDS,
    socket.TCP_KEEPINTVL: AGAIN_SECONDS,
    socket.TCP_USER_TIMEOUT: SILENT_SECONDS * 1000,
}


def limit(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in OPTIONS.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
