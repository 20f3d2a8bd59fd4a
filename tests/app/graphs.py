"""Small graphs that were changed."""

from collections.abc import Callable
from typing import Any

import onnx

from tests.app.bundles import linear_bundle

GOOD = linear_bundle().onnx


def changed(change: Callable[[Any], None]) -> bytes:
    """Of a good one, as a protobuf."""
    model = onnx.load_model_from_string(GOOD)
    change(model)
    written: bytes = model.SerializeToString()
    return written
