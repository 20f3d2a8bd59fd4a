"""Small real policies: one linear layer as ONNX, with golden pairs computed by numpy."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mrq_core.actions import to_environment
from mrq_core.bundle import BUNDLE_FORMAT_VERSION
from mrq_core.spaces import Box, Discrete, Space
from store.results import PolicyBundle

Floats = NDArray[np.float32]

INFINITE = float("inf")
OBSERVATION = Box((-INFINITE,) * 3, (INFINITE,) * 3, (3,))
# The first action of the environment lies in [-2, 2], the second in [0, 10].
CONTINUOUS = Box((-2.0, 0.0), (2.0, 10.0), (2,))
DISCRETE = Discrete(2)
WEIGHTS = np.array([[0.5, -1.0], [0.25, 0.0], [0.0, 2.0]], np.float32)
GOLDEN = np.array([[0.0, 0.0, 0.0], [1.0, -1.0, 0.5], [0.1, 0.2, 0.3]], np.float32)


def linear_bundle(action_space: Space = CONTINUOUS, **changes: Any) -> PolicyBundle:
    """output = tanh(x W), or x W for a discrete action space."""
    discrete = isinstance(action_space, Discrete)
    outputs = GOLDEN @ WEIGHTS if discrete else np.tanh(GOLDEN @ WEIGHTS)
    manifest: dict[str, Any] = {
        "format_version": BUNDLE_FORMAT_VERSION,
        "environment_id": "Pendulum-v1",
        "environment_kwargs": {},
        "observation_space": OBSERVATION.to_json(),
        "observation_dim": 3,
        "action_space": action_space.to_json(),
        "action_dim": 2,
        "exploration_noise": 0.2,
        "golden": {
            "observations": GOLDEN.tolist(),
            "outputs": outputs.tolist(),
            "actions": to_environment(action_space, outputs).tolist(),
        },
    }
    graph = linear_graph(WEIGHTS, tanh=not discrete)
    return PolicyBundle(onnx=graph, manifest=manifest | changes)


def linear_graph(weights: Floats, *, tanh: bool) -> bytes:
    inner = "policy" if not tanh else "u"
    nodes = [helper.make_node("MatMul", ["observation", "weights"], [inner])]
    if tanh:
        nodes.append(helper.make_node("Tanh", ["u"], ["policy"]))
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["B", 3])],
        [helper.make_tensor_value_info("policy", TensorProto.FLOAT, ["B", 2])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized
