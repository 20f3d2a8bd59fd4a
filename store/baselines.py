"""Which algorithm can learn in which environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from mrq_core.baselines import size
from mrq_core.observations import ObservationForm
from store.catalogue import EnvironmentEntry

Algorithm = Literal["mrq", "dqn", "td3", "sac", "ppo", "q_learning"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
# Those of Stable-Baselines3.
LIBRARY = frozenset({"dqn", "td3", "sac", "ppo"})

# Environments whose states can be counted, and how many these are.
STATES: Mapping[str, int] = MappingProxyType(
    {
        "FrozenLake-v1": 16,
        "FrozenLake8x8-v1": 64,
        "Taxi-v4": 500,
        "CliffWalking-v1": 48,
        "Blackjack-v1": 32 * 11 * 2,
        "Sepsis/ICU-Sepsis-v2": 716,
    }
)


@dataclass(frozen=True)
class Misfit:
    """`field` is the one to change; `why` follows the algorithm's name."""

    field: str
    why: str


def misfit(algorithm: Algorithm, entry: EnvironmentEntry, form: ObservationForm) -> Misfit | None:
    """None: it can learn there."""
    match algorithm:
        case "mrq":
            return None
        case "q_learning":
            return _of_a_table(entry, form)
        case "dqn" if entry.action_kind != "discrete":
            return _of_actions("one discrete choice", entry)
        case "td3" | "sac" if entry.action_kind != "continuous":
            return _of_actions("continuous actions", entry)
    if entry.masked:
        return Misfit(NAME, f"knows no action masks, and {entry.id} has them")
    if form.kind == "pixels" and min(form.frame_shape[1:]) < size.SMALLEST_SIDE:
        return Misfit(NAME, f"needs images of {size.SMALLEST_SIDE} pixels a side")
    if form.kind == "pixels" and form.input_shape[0] >= min(form.frame_shape[1:]):
        what = f"takes fewer planes than an image has rows, and there are {form.input_shape[0]}"
        return Misfit("environment.history", what)
    return None


NAME = "algorithm.name"


def _of_actions(wanted: str, entry: EnvironmentEntry) -> Misfit:
    have = entry.action_kind.replace("_", "-")
    return Misfit(NAME, f"learns {wanted}, and those of {entry.id} are {have}")


def _of_a_table(entry: EnvironmentEntry, form: ObservationForm) -> Misfit | None:
    if entry.action_kind != "discrete":
        return _of_actions("one discrete choice", entry)
    if entry.id not in STATES:
        some = ", ".join(STATES)
        return Misfit(NAME, f"needs states that can be counted, as those of {some}")
    if form.history != 1:
        return Misfit("environment.history", f"counts single states, and history={form.history}")
    return None


def what_is_wrong_with(
    algorithm: Algorithm, entry: EnvironmentEntry, form: ObservationForm, *, begins: bool
) -> tuple[str, str] | None:
    """The field to change, and a message with what is allowed; None if it can learn there.
    `begins`: with another job's checkpoint."""
    found = misfit(algorithm, entry, form)
    if found is None and begins and algorithm != "mrq":
        text = f"init_from with {NAME}={algorithm!r}: a baseline begins with nothing"
        return "init_from", f"{text}; leave it out, or choose mrq"
    if found is None:
        return None
    able = [name for name in ALGORITHMS if misfit(name, entry, form) is None]
    text = f"{NAME}={algorithm!r} {found.why}; allowed for this: {', '.join(able)}"
    return found.field, text
