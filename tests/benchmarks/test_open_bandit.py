"""The log of real clicks as it is uploaded, and how wide its intervals are."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.offline.open_bandit import HEADER, ROOT, Row, downloaded, log_csv
from mrq_core.off_policy.estimate import OffPolicyEstimate
from mrq_core.off_policy.resampling import Interval


def shown(item: str, click: str, position: str, first: str) -> dict[str, str]:
    others = {f"user_feature_{n}": "same" for n in (1, 2, 3)}
    told = {"item_id": item, "click": click, "position": position, "propensity_score": "0.0125"}
    return {**told, "user_feature_0": first, **others}


def test_each_item_that_was_shown_is_an_episode() -> None:
    log = [shown("14", "0", "3", "b"), shown("7", "1", "1", "a")]
    assert log_csv(log).decode().splitlines() == [
        "episode,user_feature_0_0,user_feature_0_1,user_feature_1_0,user_feature_2_0,"
        "user_feature_3_0,position_0,position_1,action,reward,terminated,propensity",
        "0,0,1,1,1,1,0,1,14,0,1,0.0125",
        "1,1,0,1,1,1,1,0,7,1,1,0.0125",
    ]


def test_no_click_among_few_is_no_certainty() -> None:
    nothing = Interval(0.0, 0.0, 0.0)
    estimate = OffPolicyEstimate(
        discount=0.99, episodes=5_000, fitted=nothing, logged=nothing, lead=nothing,
        weighted=nothing, effective_episodes=60.0,
    )  # fmt: skip
    cells = dict(zip(HEADER, Row(0, estimate, 60, 0, 9).cells, strict=True))
    # By hand: 1 - 0.025 ** (1 / 60).
    assert cells["click rate there, exact"] == "0.0000 (0.0000 to 0.0596)"
    assert cells["clicks where both agree"] == "0 of 60"


def test_the_log_of_others_never_lies_in_the_tree() -> None:
    with pytest.raises(SystemExit, match="must lie outside of"):
        downloaded(ROOT / "build" / "bandit")
    assert not Path(ROOT / "build" / "bandit").exists()
