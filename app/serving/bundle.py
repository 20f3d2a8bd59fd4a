"""A policy's bytes, checked and ready to act in ONNX Runtime.

B is the number of observations, D the network's inputs, A its outputs.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from app.refusals import PolicyBroken
from app.serving.history import FrameForm
from app.serving.seen import SeenRange, seen_range
from app.serving.threads import is_same_by_parts
from mrq_core.actions import ActionCodec, action_codec
from mrq_core.bundle import BUNDLE_FORMAT_VERSION
from mrq_core.spaces import Floats, Space, SpaceError, space_from_json
from store.servable import ServablePolicy, history_of

TOLERANCE = 1e-5
LATENT = "latent"

Forward = Callable[[Floats], Floats]  # (B, D) -> (B, A)
Reals = NDArray[np.float64]
Masks = NDArray[np.bool_]


class Actor:
    """What a policy does with observations; knows neither HTTP nor other requests."""

    def __init__(
        self,
        forward: Forward,
        observation_space: Space,
        codec: ActionCodec,
        noise: float,
        latent: Forward | None = None,
        seen: SeenRange | None = None,
        *,
        action_space: Space,
        history: int,
    ) -> None:
        """`latent`: to zs, where the graph gives it. `history`: frames in an observation."""
        self.seen = seen
        self.forward = forward
        self.latent = latent
        self.observation_space = observation_space
        self.action_space = action_space
        self.frames = FrameForm(observation_space, history)
        self.codec = codec
        self.noise = noise
        self._unseeded = np.random.default_rng()

    def deterministic(self, outputs: Floats, masks: Masks | None = None) -> NDArray[Any]:
        """`masks` is (B, A), or (1, A) for all rows alike."""
        return self.codec.to_environment(outputs, _for_each(masks, outputs))

    def sample(
        self, outputs: Floats, observations: Floats, seed: int | None, masks: Masks | None = None
    ) -> NDArray[Any]:
        """A mask takes part in the choice alone: what is drawn does not depend on it."""
        return self.noisy(outputs, self.draw(outputs, observations, seed), masks)

    def draw(self, outputs: Floats, observations: Floats, seed: int | None) -> Reals:
        """(B, A). With a seed, an observation gets the same whatever else is in the batch."""
        if seed is None:
            return self._draw(self._unseeded, outputs.shape)
        width = outputs.shape[1:]
        return np.stack([self._draw(_generator(seed, row), width) for row in observations])

    def noisy(self, outputs: Floats, drawn: Reals, masks: Masks | None = None) -> NDArray[Any]:
        if self.codec.discrete:
            # The largest of logits + Gumbel noise is a draw from softmax(logits); of each
            # component's own, where an action has several.
            chosen = outputs + drawn
        else:
            chosen = np.clip(outputs + self.noise * drawn, -1.0, 1.0)
        return self.codec.to_environment(chosen.astype(np.float32), _for_each(masks, outputs))

    def probability(
        self, outputs: Floats, actions: NDArray[Any], masks: Masks | None = None
    ) -> Reals:
        """(B,): of a discrete policy, that `sample` takes these actions."""
        logits = outputs.astype(np.float64)
        if (allowed := _for_each(masks, outputs)) is not None:
            logits = np.where(allowed, logits, -np.inf)
        taken = np.stack([self.codec.from_environment(action) for action in actions])
        ends = np.cumsum(self.codec.components)[:-1]
        parts = zip(np.split(logits, ends, axis=1), np.split(taken, ends, axis=1), strict=True)
        each = [(_softmax(part) * one_hot).sum(axis=1) for part, one_hot in parts]
        return np.asarray(np.prod(each, axis=0))

    def _draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Reals:
        draw = generator.gumbel if self.codec.discrete else generator.standard_normal
        return np.asarray(draw(size=shape))


def _softmax(logits: Reals) -> Reals:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _for_each(masks: Masks | None, outputs: Floats) -> Masks | None:
    return None if masks is None else np.broadcast_to(masks, outputs.shape)


def _generator(seed: int, observation: Floats) -> np.random.Generator:
    """The observation is part of the seed, or all rows of a batch would get the same noise."""
    digest = hashlib.blake2b(observation.tobytes(), digest_size=16).digest()
    return np.random.default_rng([seed, int.from_bytes(digest, "little")])


def open_policy(policy: ServablePolicy, threads: int = 1) -> Actor:
    """`threads`: that share its passes, if that changes no action. Raises `PolicyBroken` unless it
    acts here as it acted in training."""
    if hashlib.sha256(policy.onnx).hexdigest() != policy.sha256:
        raise _broken(policy, "its bytes do not have the recorded sha256")
    version = policy.manifest["format_version"]
    if version != BUNDLE_FORMAT_VERSION:
        raise _broken(policy, f"its format is {version}, this server reads {BUNDLE_FORMAT_VERSION}")
    try:
        observation_space = space_from_json(policy.manifest["observation_space"])
        action_space = space_from_json(policy.manifest["action_space"])
        codec = action_codec(action_space)
    except SpaceError as error:
        raise _broken(policy, f"its spaces cannot be read: {error}") from error
    try:
        may_share = threads > 1 and is_same_by_parts(policy.onnx)
        session = open_session(policy.onnx, threads if may_share else 1)
        forward = _forward(session, "policy")
        outputs = forward(np.array(policy.manifest["golden"]["observations"], np.float32))
    except MemoryError:  # that passes
        raise
    except Exception as error:  # ONNX Runtime's own have no common base
        raise _broken(policy, "ONNX Runtime cannot run it") from error
    _check_golden(policy, codec, outputs)
    given = {output.name for output in session.get_outputs()}
    latent = _forward(session, LATENT) if LATENT in given else None
    noise, seen = policy.manifest["exploration_noise"], seen_range(policy.manifest)
    history = history_of(policy.manifest)
    return Actor(
        forward,
        observation_space,
        codec,
        noise,
        latent,
        seen,
        action_space=action_space,
        history=history,
    )


def open_session(graph: bytes, threads: int = 1) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Threads wait for each other's part in a loop, and sleep between passes.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    # It keeps them in case that its providers are exchanged, and they are half of its memory.
    session._model_bytes = None
    return session


def _forward(session: Any, output: str) -> Forward:
    """Computes what leads to this output, and nothing else."""
    names = [output]

    def forward(observations: Floats) -> Floats:
        (outputs,) = session.run(names, {"observation": observations})
        result: Floats = outputs
        return result

    return forward


def _check_golden(policy: ServablePolicy, codec: ActionCodec, outputs: Floats) -> None:
    golden: Mapping[str, Any] = policy.manifest["golden"]
    expected = np.array(golden["outputs"], np.float32)
    if not outputs.size or outputs.shape != expected.shape:
        raise _broken(policy, f"it gives {outputs.shape}, recorded are {expected.shape}")
    # Relative where they are large: logits of 100 have no five places after the point in float32.
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    with np.errstate(invalid="ignore"):
        error = np.abs(outputs - expected).max()
    if not error <= allowed:  # so written that NaN is refused
        raise _broken(policy, f"its outputs are off by {error:.2g}, allowed is {allowed:.2g}")
    actions, recorded = codec.to_environment(outputs), np.array(golden["actions"])
    if actions.shape != recorded.shape or not _same(codec, actions, recorded, expected, allowed):
        raise _broken(policy, "its actions are not the recorded ones")


def _same(
    codec: ActionCodec,
    actions: NDArray[Any],
    recorded: NDArray[Any],
    expected: Floats,
    allowed: float,
) -> bool:
    if not codec.discrete:
        scale = TOLERANCE * max(1.0, float(np.abs(recorded).max()))
        if actions.dtype.kind in "iu":  # two sides of a half round to two neighbours
            scale += 1.0
        return bool((np.abs(actions - recorded) <= scale).all())
    # Another choice only where two logits of its component are as good as equal.
    tied = _tied(codec.components, expected, 2 * allowed)
    same = (actions == recorded).reshape(len(actions), -1)
    return bool((same | tied).all())


def _tied(components: tuple[int, ...], logits: Floats, allowed: float) -> NDArray[np.bool_]:
    """(B, components): whether the two largest logits are this near to each other."""
    ends = np.cumsum(components)
    groups = [np.sort(group, axis=1) for group in np.split(logits, ends[:-1], axis=1)]
    alone = np.full(len(logits), False)
    columns = [alone if g.shape[1] < 2 else g[:, -1] - g[:, -2] <= allowed for g in groups]
    return np.stack(columns, axis=1)


def _broken(policy: ServablePolicy, why: str) -> PolicyBroken:
    return PolicyBroken(
        f"Policy {policy.id} ({policy.name}:{policy.version}) is not served, for {why}.",
        param="reference",
        why=why,
    )
