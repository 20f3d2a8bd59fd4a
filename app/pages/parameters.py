"""Hyperparameters beside the defaults: the paper's, or of a baseline the library's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from store.algorithm_spec import SETTINGS


@dataclass(frozen=True, kw_only=True)
class Parameter:
    name: str
    value: str
    paper: str

    @property
    def differs(self) -> bool:
        return self.value != self.paper


def parameters_of(spec: Mapping[str, Any]) -> list[Parameter]:
    """Of a resolved spec. One that an older release did not know counts as the paper's."""
    algorithm = spec["algorithm"]
    chosen, defaults = algorithm["hyperparameters"], SETTINGS[algorithm.get("name", "mrq")]()
    return [
        Parameter(name=name, value=_text(chosen.get(name, paper)), paper=_text(paper))
        for name, paper in asdict(defaults).items()
    ]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}"
