"""Small real policies: one linear layer as ONNX, with golden pairs computed by numpy."""

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mrq_core.actions import to_environment
from mrq_core.bundle import BUNDLE_FORMAT_VERSION
from mrq_core.spaces import Box, Discrete, MultiDiscrete, Space, Tuple
from store.results import PolicyBundle

Floats = NDArray[np.float32]

INFINITE = float("inf")
OBSERVATION = Box((-INFINITE,) * 3, (INFINITE,) * 3, (3,))
# The first action of the environment lies in [-2, 2], the second in [0, 10].
CONTINUOUS = Box((-2.0, 0.0), (2.0, 10.0), (2,))
DISCRETE = Discrete(2)
# Parts of 3 and 2 choices.
PARTS = MultiDiscrete((3, 2), (0, 0), (2,))
PART_WEIGHTS = np.array(
    [[1.0, 0.5, 0.0, 0.0, 1.0], [0.0, 1.0, 0.5, 1.0, 0.0], [0.0, 0.0, 2.0, 0.5, -0.5]], np.float32
)
WEIGHTS = np.array([[0.5, -1.0], [0.25, 0.0], [0.0, 2.0]], np.float32)
GOLDEN = np.array([[0.0, 0.0, 0.0], [1.0, -1.0, 0.5], [0.1, 0.2, 0.3]], np.float32)


def linear_bundle(
    action_space: Space = CONTINUOUS,
    weights: Floats = WEIGHTS,
    observations: Floats = GOLDEN,
    **changes: Any,
) -> PolicyBundle:
    """output = tanh(x W), or x W for a discrete action space."""
    discrete = not isinstance(action_space, Box)
    outputs = observations @ weights if discrete else np.tanh(observations @ weights)
    manifest: dict[str, Any] = {
        "format_version": BUNDLE_FORMAT_VERSION,
        "environment_id": "Pendulum-v1",
        "environment_kwargs": {},
        "observation_space": OBSERVATION.to_json(),
        "observation_dim": len(weights),
        "action_space": action_space.to_json(),
        "action_dim": weights.shape[1],
        "exploration_noise": 0.2,
        "golden": {
            "observations": observations.tolist(),
            "outputs": outputs.tolist(),
            "actions": to_environment(action_space, outputs).tolist(),
        },
    }
    graph = linear_graph(weights, tanh=not discrete)
    return PolicyBundle(onnx=graph, manifest=manifest | changes)


def linear_graph(weights: Floats, *, tanh: bool) -> bytes:
    inner = "policy" if not tanh else "u"
    width = weights.shape[1]
    nodes = [helper.make_node("MatMul", ["observation", "weights"], [inner])]
    if tanh:
        nodes.append(helper.make_node("Tanh", ["u"], ["policy"]))
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["B", len(weights)])],
        [helper.make_tensor_value_info("policy", TensorProto.FLOAT, ["B", width])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def pixel_bundle(history: int = 2, shape: tuple[int, int, int] = (3, 40, 36)) -> PolicyBundle:
    """Two logits: the mean of the newest frame's first row, and that of the oldest frame."""
    size = math.prod(shape)
    frame = Box((0,) * size, (255,) * size, shape, "uint8")
    golden = np.zeros((2, history * size), np.float32)
    golden[1] = np.arange(history * size) % 256
    outputs = pixel_outputs(golden, history, shape)
    manifest = {
        "format_version": BUNDLE_FORMAT_VERSION,
        "environment_id": "CarRacing-v3",
        "environment_kwargs": {},
        "observation_space": (frame if history == 1 else Tuple((frame,) * history)).to_json(),
        "observation_dim": history * size,
        "observation_kind": "pixels",
        "input_shape": [history * shape[0], *shape[1:]],
        "history": history,
        "action_space": DISCRETE.to_json(),
        "action_dim": 2,
        "masked": False,
        "exploration_noise": 0.2,
        "golden": {
            "observations": golden.tolist(),
            "outputs": outputs.tolist(),
            "actions": to_environment(DISCRETE, outputs).tolist(),
        },
    }
    return PolicyBundle(onnx=_pixel_graph(history, shape), manifest=manifest)


def pixel_outputs(flat: Floats, history: int, shape: tuple[int, int, int]) -> Floats:
    frames = flat.reshape(-1, history, *shape)
    newest_row, oldest = frames[:, -1, :, 0].mean((1, 2)), frames[:, 0].mean((1, 2, 3))
    return np.stack([newest_row, oldest], axis=1).astype(np.float32)


def _pixel_graph(history: int, shape: tuple[int, int, int]) -> bytes:
    """A convolution as wide as the image, on planes of all frames, as a trained policy has them."""
    channels, height, width = shape
    kernel = np.zeros((2, history * channels, height, width), np.float32)
    kernel[0, -channels:, 0] = 1 / (channels * width)
    kernel[1, :channels] = 1 / math.prod(shape)
    constants: dict[str, NDArray[Any]] = {
        "shape": np.array([-1, history * channels, height, width], np.int64),
        "kernel": kernel,
    }
    nodes = [
        helper.make_node("Reshape", ["observation", "shape"], ["image"]),
        helper.make_node("Conv", ["image", "kernel"], ["means"]),
        helper.make_node("Flatten", ["means"], ["policy"], axis=1),
    ]
    size = history * math.prod(shape)
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["B", size])],
        [helper.make_tensor_value_info("policy", TensorProto.FLOAT, ["B", 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized
