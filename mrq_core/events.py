"""What happens in a run. The trainer yields these and knows nothing of who stores or shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from mrq_core.bundle import PolicyBundle
from mrq_core.off_policy.estimate import OffPolicyEstimate
from mrq_core.run import End


class TrainingState(Protocol):
    """The run as it stands. Valid only until the next event is asked for."""

    def save(self, directory: Path, previous: Path | None = None) -> None:
        """Writes safetensors and JSON files into `directory`, which exists and is empty.

        `previous` is the folder of an earlier checkpoint of this very run: files that would be
        written again as they are there become hard links (copies where linking fails), so never
        write into a checkpoint's files. Nothing is renamed or synced: publishing a checkpoint is
        the caller's business.
        """


@dataclass(frozen=True)
class Started:
    """`step` is 0, or where the checkpoint stood."""

    step: int
    resumed: bool
    parameter_count: int
    # False: the environment did not come back to where the checkpoint left it, or the device is of
    # another kind.
    exact: bool = True


@dataclass(frozen=True)
class Progressed:
    """Means over the steps since the last event of this kind; only the keys that have data.

    train/return, train/length, train/terminated (share of the episodes), loss/encoder,
    loss/dynamics, loss/reward, loss/terminal, loss/value, loss/policy, q/mean, target/mean,
    reward_scale, replay/size.
    """

    step: int
    episodes: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Evaluated:
    """One entry per episode; of a policy that was judged by a log one in all, its estimate, and
    none if there was nothing to judge by. `export_policy` may be called only until the next event
    is asked for: after that the weights have moved on."""

    step: int
    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    seeds: tuple[int, ...]
    action_mode: str
    export_policy: Callable[[], PolicyBundle]
    estimate: OffPolicyEstimate | None = None


@dataclass(frozen=True)
class CheckpointDue:
    step: int
    state: TrainingState


@dataclass(frozen=True)
class Finished:
    """`weights_sha256` covers every network: equal runs give equal digests."""

    step: int
    weights_sha256: str
    end: End


@dataclass(frozen=True)
class Stopped:
    """As asked. The event before was a CheckpointDue of this very step."""

    step: int
    weights_sha256: str


Event: TypeAlias = Started | Progressed | Evaluated | CheckpointDue | Finished | Stopped
