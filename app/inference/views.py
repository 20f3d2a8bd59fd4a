"""What the routes under `/v2` answer, but for actions."""

from typing_extensions import TypedDict


class ServerView(TypedDict):
    name: str
    version: str
    extensions: list[str]


class LiveView(TypedDict):
    live: bool


class ReadyView(TypedDict):
    ready: bool


class ModelReadyView(TypedDict):
    name: str
    ready: bool


class TensorView(TypedDict):
    """`shape` begins with -1: any number of observations."""

    name: str
    datatype: str
    shape: list[int]


class ModelView(TypedDict):
    """`versions`: all that there are of this name, oldest first. The input `action_mask` may be
    left out."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorView]
    outputs: list[TensorView]
