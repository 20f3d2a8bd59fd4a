"""A trained policy as data: what a server needs to act, and to know that it acts as torch did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Raised when a reader of the old manifest could misread the new one.
BUNDLE_FORMAT_VERSION = 1


@dataclass(frozen=True)
class PolicyBundle:
    """`onnx`: input "observation" (batch, D) float32, output "policy" (batch, A): the action in
    [-1, 1], or the logits of a discrete one; output "latent" (batch, zs_dim), the embedding of the
    state, which baselines and bundles of earlier releases lack. Equal policies give equal bytes.

    Keys of `manifest`, all JSON: format_version, environment_id, environment_kwargs, step,
    observation_space (as a client sends it: pixels channel-first, a list of frames if `history`
    is more than 1), observation_dim, observation_kind, input_shape, history, action_space,
    action_dim, masked, exploration_noise, versions, algorithm, hyperparameters, weights_sha256,
    golden, and model where there is one. An observation, with its numbers in C order, is the
    graph's input. `golden` holds `observations` (flat, (N, D)) from real episodes, `outputs` (N, A)
    of the network and the deterministic `actions` in the environment's units, both as torch
    computed them.

    `model`: inputs "zs" (batch, zs_dim) and "action" (batch, A), in the network's units: in [-1, 1]
    or one-hot; outputs "q" (batch, 2) of both heads, in units of return, "reward" (batch, 1) in
    the environment's, "termination" (batch, 1) and "next_zs" (batch, zs_dim). The manifest's
    `model` holds its `sha256`, the `trained_horizon` (steps over which it was unrolled in
    training), the `discount` of q, and `golden`: for the golden observations `actions` in the
    network's units, and `q`, `reward`, `termination`, `next_q` (the same action a step later). None
    of baselines, and of bundles of earlier releases.
    """

    onnx: bytes
    manifest: dict[str, Any]
    model: bytes | None = None
