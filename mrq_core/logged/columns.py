"""Which column of a table of transitions is what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrq_core.csv_table import columns_left, refused

ACTION, REWARD, EPISODE = "action", "reward", "episode"
TERMINATED, TRUNCATED, PROPENSITY = "terminated", "truncated", "propensity"
NEEDED = (EPISODE, REWARD, TERMINATED)
OPTIONAL = (TRUNCATED, PROPENSITY)
_ACTION = re.compile(r"action(_(0|[1-9][0-9]?))?")
ALLOWED_ROLES = f"{', '.join((*NEEDED, *OPTIONAL, ACTION))}, or action_0, action_1, ..."


@dataclass(frozen=True, kw_only=True)
class Columns:
    """`roles`: what the columns are called; that of the action is `action`, or `action_0`,
    `action_1` and so on. `features`: what is observed, in the order of the file. `choices`: how
    many actions there are, 0 where they are real numbers."""

    roles: Mapping[str, str]
    features: tuple[str, ...]
    choices: int = 0

    @property
    def actions(self) -> tuple[str, ...]:
        return tuple(self.roles[role] for role in action_roles(self.roles))


def action_roles(roles: Mapping[str, str]) -> list[str]:
    """In their order."""
    found = [role for role in roles if _ACTION.fullmatch(role)]
    return sorted(found, key=lambda role: int(role.partition("_")[2] or 0))


def _is_role(name: str) -> bool:
    return name in (*NEEDED, *OPTIONAL) or _ACTION.fullmatch(name) is not None


def choose_columns(
    names: Sequence[str], mapped: Mapping[str, str], dropped: Sequence[str] = ()
) -> Columns:
    """`mapped`: from a role to the column that has it. `choices` is left to be found out."""
    left = columns_left(names, mapped, dropped, _is_role, ALLOWED_ROLES)
    usual = {name.lower(): name for name in reversed(left)}
    roles = {role: mapped.get(role) or usual.get(role) for role in (*NEEDED, *OPTIONAL)}
    found = {role: name for role, name in roles.items() if name is not None}
    found |= _actions(mapped) or _actions(usual)
    _require_roles(found, names)
    features = tuple(name for name in left if name not in found.values())
    if not features:
        raise refused("No column is left to be observed.", 1)
    return Columns(roles=found, features=features)


def _actions(names: Mapping[str, str]) -> dict[str, str]:
    return {role: names[role] for role in action_roles(names)}


def _require_roles(found: Mapping[str, str], names: Sequence[str]) -> None:
    missing = [role for role in NEEDED if role not in found]
    actions = action_roles(found)
    if not actions:
        missing.append(ACTION)
    if missing:
        raise refused(
            f"Needed and not there: {', '.join(missing)}. The file has {', '.join(names)}. "
            f"Say which column it is, as in map={missing[0]}:NAME.",
            1,
            missing[0],
        )
    if actions not in ([ACTION], [f"{ACTION}_{n}" for n in range(len(actions))]):
        told = ", ".join(actions)
        raise refused(f"The actions are {told}; allowed: action, or action_0, action_1, ...", 1)
    if len(set(found.values())) < len(found):
        raise refused(f"One column has two roles: {dict(found)}.", 1)
