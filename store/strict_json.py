"""JSON, read strictly: what two parsers could understand differently is refused."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

MAX_DEPTH = 32


class NotStrict(Exception):
    """`number`: for one that is not finite."""

    def __init__(self, text: str, *, number: bool = False) -> None:
        super().__init__(text)
        self._text = text
        self.number = number

    def told(self, what: str) -> str:
        """Of `what` was read, such as 'The body'."""
        return self._text.format(what=what)


def parse_strictly(content: bytes) -> Any:
    """`NotStrict` for bad UTF-8, NaN and infinities, a key twice in one object, nesting beyond
    MAX_DEPTH."""
    try:
        value = json.loads(
            content.decode(),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_unique,
        )
    except UnicodeDecodeError as error:
        raise NotStrict(f"{{what}} is not UTF-8: byte {error.start}.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise NotStrict(f"{{what}} is not JSON: {_plain(error.msg)}, {where}.") from None
    except RecursionError:
        _refuse_depth()
    except ValueError:  # Python reads no integer of more than 4,300 digits
        raise NotStrict("{what} has a number with too many digits.") from None
    _check_depth(value)
    return value


def _plain(text: str) -> str:
    """As a part of a format string."""
    return text.replace("{", "{{").replace("}", "}}")


def _refuse_constant(text: str) -> NoReturn:
    raise NotStrict(f"{text} is not JSON: every number must be finite.", number=True)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotStrict(f"{text[:40]} is beyond what a float can hold.", number=True)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = counts.most_common(1)[0][0]
        raise NotStrict(f"The key {_plain(repr(twice[:80]))} stands twice in one object.")
    return found


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [child for each in level for child in _children(each)]
        if not level:
            return
    _refuse_depth()


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _refuse_depth() -> NoReturn:
    raise NotStrict(f"{{what}} is nested too deeply: {MAX_DEPTH} levels are allowed.")
