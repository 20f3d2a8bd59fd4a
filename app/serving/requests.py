"""What a client may ask of `act`, read from JSON or from headers, with a code for each mistake."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import orjson

from app.body import refuse_ambiguous
from app.refusals import ActRefused, MalformedBody, NonFiniteNumber
from app.serving.held import HELD_FIELDS, Held, read_held
from mrq_core.spaces import describe

FIELDS = frozenset(
    {
        *("observation", "observations", "mode", "seed", "action_mask", "deadline_ms", "return"),
        *("log", "episode", "t"),
        *HELD_FIELDS,
    }
)
MODES = ("deterministic", "sample")
RETURNS = ("probability", "q", "reward", "termination", "latent")
MAX_SEED = 2**53 - 1  # what every JSON reader keeps exactly
MAX_DEADLINE_MS = 60_000
MAX_EPISODE = 128
_OF_THE_LOG = frozenset({"log", "episode", "t"})


@dataclass(slots=True)
class ActRequest:
    """`value`: as JSON gives it, or an array, whose shape says whether it `is_batch`."""

    value: Any
    is_batch: bool | None
    mode: str = "deterministic"
    seed: int | None = None
    mask: Any = None
    deadline_ms: float | None = None
    returns: frozenset[str] = frozenset()
    log: bool = False
    episode: str | None = None
    t: int | None = None
    held: Held | None = None

    def of(self, value: Any) -> "ActRequest":
        """The same of another value."""
        return replace(self, value=value)

    @property
    def is_plain(self) -> bool:
        """Asks for the deterministic action and nothing else."""
        more = self.mask is not None or self.returns or self.log or self.held is not None
        return self.mode == "deterministic" and not more


Reader: TypeAlias = Callable[[bytes], ActRequest]  # of bodies


def read_object(body: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unreadable(body, error) from None
    if not isinstance(data, dict):
        raise MalformedBody("The body must be a JSON object.", param="body")
    return data


def require_known(data: Mapping[str, Any], fields: frozenset[str]) -> None:
    if unknown := data.keys() - fields:
        field = sorted(unknown)[0][:80]
        text = f"{field!r} is not a field here; allowed: {', '.join(sorted(fields))}."
        raise ActRefused("unknown_field", text, param=field)


def read_request(body: bytes) -> ActRequest:
    data = read_object(body)
    require_known(data, FIELDS)
    is_batch = "observations" in data
    if is_batch == ("observation" in data):
        text = "Give exactly one of observation and observations."
        raise ActRefused("observation_missing", text, param="observation")
    return read_options(data["observations" if is_batch else "observation"], is_batch, data)


def read_options(value: Any, is_batch: bool | None, data: Mapping[str, Any]) -> ActRequest:
    """`data`: the other fields, whether they came in the body or in headers."""
    mode, seed = _mode_and_seed(data)
    deadline_ms, returns = _deadline(data.get("deadline_ms")), _returns(data.get("return"))
    asked = ActRequest(value, is_batch, mode, seed, data.get("action_mask"), deadline_ms, returns)
    if not data.keys().isdisjoint(HELD_FIELDS):
        asked.held, data = read_held(data, is_batch)
    if not data.keys().isdisjoint(_OF_THE_LOG):
        asked.log, asked.episode, asked.t = _log(data)
    return asked


def _unreadable(body: bytes, error: orjson.JSONDecodeError) -> Exception:
    """A NaN deserves a better word than "unexpected character"."""
    try:
        refuse_ambiguous(body)
    except NonFiniteNumber as refusal:
        return ActRefused("observation_not_finite", refusal.message, param="observation")
    except MalformedBody as refusal:
        return refusal
    if error.msg.startswith("number"):
        text = "An integer in the body is too large for a float."
        return ActRefused("number_too_large", text, param="observation")
    return MalformedBody(f"The body is not JSON: {error}.", param="body")


def _mode_and_seed(data: Mapping[str, Any]) -> tuple[str, int | None]:
    mode, seed = data.get("mode", "deterministic"), data.get("seed")
    if mode not in MODES:
        text = f"mode={describe(mode)} must be one of {', '.join(MODES)}."
        raise ActRefused("mode_unsupported", text, param="mode")
    if seed is None:
        return mode, None
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        text = f"seed={describe(seed)} must be an integer from 0 to {MAX_SEED}."
        raise ActRefused("seed_invalid", text, param="seed")
    if mode != "sample":
        text = f"seed={seed} has no meaning with mode={mode!r}; allowed with mode='sample' only."
        raise ActRefused("seed_without_sample", text, param="seed")
    return mode, seed


def _deadline(value: Any) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 < value <= MAX_DEADLINE_MS:
        text = (
            f"deadline_ms={describe(value)} must be a number of milliseconds above 0 and at most "
            f"{MAX_DEADLINE_MS}."
        )
        raise ActRefused("deadline_invalid", text, param="deadline_ms")
    return float(value)


def _returns(value: Any) -> frozenset[str]:
    if value is None:
        return frozenset()
    if not isinstance(value, list):
        raise _no_return(value)
    for each in value:
        if each not in RETURNS:
            raise _no_return(each)
    return frozenset(value)


def _log(data: Mapping[str, Any]) -> tuple[bool, str | None, int | None]:
    log, episode, t = data.get("log", False), data.get("episode"), data.get("t")
    if type(log) is not bool:
        text = f"log={describe(log)} must be true or false."
        raise ActRefused("log_invalid", text, param="log")
    if episode is None and t is None:
        return log, None, None
    if not log:
        text = "episode and t have a meaning with log=true only."
        raise ActRefused("log_invalid", text, param="episode")
    if type(episode) is not str or not 1 <= len(episode) <= MAX_EPISODE or "\0" in episode:
        text = f"episode={describe(episode)} must be a text of 1 to {MAX_EPISODE} characters."
        raise ActRefused("episode_invalid", text, param="episode")
    if type(t) is not int or not 0 <= t <= MAX_SEED:
        text = f"t={describe(t)} must be an integer from 0 to {MAX_SEED}, as episode is given."
        raise ActRefused("episode_invalid", text, param="t")
    return log, episode, t


def _no_return(value: Any) -> ActRefused:
    text = f"return={describe(value)} must be a list of some of {', '.join(RETURNS)}."
    return ActRefused("return_unsupported", text, param="return")
