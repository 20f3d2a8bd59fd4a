"""Tables of transitions: what is taken for what, and what is refused and why."""

from __future__ import annotations

import io

import numpy as np
import pytest

from mrq_core.actions import action_codec
from mrq_core.csv_table import Limits, TableRefused
from mrq_core.logged.filling import lived, thinned
from mrq_core.logged.log import Log, SplitRefused, split_episodes
from mrq_core.logged.reading import ActionKind, read_log
from mrq_core.logged.report import report_on
from mrq_core.observations import ObservationForm
from mrq_core.spaces import Discrete

HEADER = "episode,x,action,reward,terminated,truncated"
# 30 episodes of two steps, one by termination and one cut off with what was seen then.
BODY = [
    line
    for n in range(30)
    for line in (
        f"a{n},{n}.5,{n % 2},1,0,0",
        f"a{n},0.25,1,-1,1,0",
        f"b{n},1,0,2,0,0",
        f"b{n},2,1,3,0,1",
        f"b{n},7,,,,",
    )
]


def table(lines: list[str], header: str = HEADER) -> Log:
    return of("\n".join([header, *lines]))


def of(text: str, actions: ActionKind | None = None, **mapped: str) -> Log:
    return read_log(io.BytesIO(text.encode()), Limits(), mapped, actions=actions)


def problems(lines: list[str], header: str = HEADER) -> list[tuple[int | None, str | None, str]]:
    with pytest.raises(TableRefused) as refusal:
        table(lines, header)
    return [(each.line, each.column, each.text) for each in refusal.value.problems]


def test_rows_become_transitions() -> None:
    log = table(BODY)
    assert (log.columns.features, log.columns.choices, log.episodes) == (("x",), 2, 60)
    assert log.starts[:4].tolist() == [0, 2, 5, 7]
    assert [log.transitions(each) for each in (0, 1)] == [2, 2]
    assert log.observations[:5, 0].tolist() == [0.5, 0.25, 1, 2, 7]
    assert log.rewards[:5].tolist() == [1, -1, 2, 3, 0]
    assert log.terminated[:5].tolist() == [False, True, False, False, False]
    assert log.is_final[:5].tolist() == [False, False, False, False, True]
    assert log.propensities is None


def test_a_last_row_whose_outcome_nobody_saw_is_no_transition() -> None:
    log = table([line for line in BODY if not line.endswith(",,,,")])
    assert [log.transitions(each) for each in (0, 1)] == [2, 1]
    assert "30 episodes end without" in report_on(log)["warnings"][-1]


def test_columns_are_called_what_the_request_says() -> None:
    text = "\n".join([HEADER.replace("reward", "clicked").replace("action", "item"), *BODY])
    log = of(text, reward="clicked", action="item")
    assert log.columns.actions == ("item",)
    assert log.rewards[0] == 1


def test_actions_are_numbers_where_they_are_not_whole_or_the_request_says_so() -> None:
    halves = [line.replace(",0,2,", ",0.5,2,") for line in BODY]
    assert table(halves).columns.choices == 0
    assert of("\n".join([HEADER, *BODY]), "continuous").columns.choices == 0
    with pytest.raises(TableRefused, match="not discrete: one column of whole numbers"):
        of("\n".join([HEADER, *halves]), "discrete")


def test_several_columns_make_one_action() -> None:
    header = HEADER.replace("action", "action_1,action_0")
    lines = [f"e{n},1,{n},{-n},0,1,0" for n in range(60)]
    log = table(lines, header)
    assert (log.columns.actions, log.columns.choices) == (("action_0", "action_1"), 0)
    assert log.actions[3].tolist() == [-3, 3]
    assert [each.tolist() for each in log.bounds] == [[-59, 0], [0, 59]]


@pytest.mark.parametrize(
    ("at", "line", "told"),
    [
        (0, "a0,1,zero,1,0,0", "Line 2, column action: 'zero' is not a number"),
        (0, "a0,,0,1,0,0", "Line 2, column x: '' is missing"),
        (0, "a0,nan,0,1,0,0", "Line 2, column x: 'nan' is missing"),
        (0, "a0,1,0,,0,0", "Line 2, column reward: '' is missing"),
        (0, "a0,1e20,0,1,0,0", "Line 2, column x: '1e20' is beyond 1e+15"),
        (0, "a0,1,0,1,maybe,0", "Line 2, column terminated: 'maybe' must be 0 or 1"),
        (0, "a0,1,0,=A1,0,0", "Line 2, column reward: '=A1' is a formula"),
        (0, ",1,0,1,0,0", "Line 2, episode is missing"),
        (0, "a0,1,0,1,1,0", "Line 3, episode goes on though it was terminated"),
        (0, "a0,1,0,1,0,1", "Line 3, episode goes on though it was truncated"),
        (0, "a0,1,,,,", "Line 2, episode begins with a row without action and reward"),
        (2, "a0,1,0,1,0,0", "Line 4, episode goes on though it was terminated"),
        (3, "a0,1,0,1,0,0", "Line 5, episode 'a0' began in line 2 and other rows came since"),
    ],
)
def test_a_line_that_is_refused_is_named(at: int, line: str, told: str) -> None:
    lines = [*BODY]
    lines[at] = line
    assert told in problems(lines)[0][2]


@pytest.mark.parametrize("probability", ["0", "1.1", "-0.1", ""])
def test_a_propensity_is_a_probability_above_zero(probability: str) -> None:
    lines = [line + (",0.5" if not line.endswith(",,,,") else ",") for line in BODY]
    header = f"{HEADER},propensity"
    log = table(lines, header)
    assert log.propensities is not None
    assert log.propensities[:4].tolist() == [0.5] * 4
    lines[1] = lines[1].replace("0.5", probability)
    ((line, column, _), *_) = problems(lines, header)
    assert (line, column) == (3, "propensity")


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (HEADER.replace("reward", "gain"), "Needed and not there: reward"),
        (HEADER.replace("episode", "run"), "Needed and not there: episode"),
        (HEADER.replace("action", "choice"), "Needed and not there: action"),
        (HEADER.replace("action", "action_1"), "The actions are action_1; allowed: action, or"),
    ],
)
def test_a_column_that_is_missing_is_named(header: str, told: str) -> None:
    assert told in problems(BODY, header)[0][2]


def test_too_little_is_refused() -> None:
    assert "has 8 transitions with a known outcome; at least 50" in problems(BODY[:10])[0][2]
    same = [f"e{n},{n},1,0,1,0" for n in range(60)]
    assert "has one action alone" in problems(same)[0][2]


def test_the_report_counts() -> None:
    report = report_on(table(BODY))
    assert report["episodes"] == {
        "count": 60, "transitions": 120, "shortest": 2, "longest": 2, "terminated": 30,
        "truncated": 30, "mean_return": 2.5,
    }  # fmt: skip
    assert report["actions"] == {"kind": "discrete", "choices": 2, "counts": [45, 75]}
    assert report["warnings"] == []
    assert [each["role"] for each in report["columns"]] == ["observation", "action", "reward"]


def test_an_action_that_never_occurs_is_told() -> None:
    lines = [line.replace(",1,3,", ",3,3,") for line in BODY]
    assert "actions 2 never occur" in report_on(table(lines))["warnings"][0]


def test_judged_episodes_are_spread_over_all_and_always_the_same() -> None:
    assert np.flatnonzero(split_episodes(8, 0.25)).tolist() == [3, 7]
    assert split_episodes(100, 0.3).sum() == 30
    assert not split_episodes(5, 0.0).any()
    with pytest.raises(SplitRefused, match="of 5 episodes leaves 1 to judge the policy by"):
        split_episodes(5, 0.2)
    with pytest.raises(SplitRefused, match="leaves 1 to learn from"):
        split_episodes(3, 0.67)


@pytest.mark.parametrize(("most", "kept"), [(120, 60), (60, 30), (40, 20), (2, 2), (1, 2)])
def test_two_episodes_at_least_are_left_to_judge_by(most: int, kept: int) -> None:
    log = table(BODY)
    assert len(thinned(log, np.arange(log.episodes), most)) == kept
    assert thinned(log, np.array([4]), 1).tolist() == [4]


def test_what_was_done_next_is_known_but_at_an_end_that_was_cut_off() -> None:
    """Of the first two episodes: one by termination, one cut off with what was seen then; and of
    one that was cut off with what was done then."""
    log = table([*BODY, "c,1,1,0,0,0", "c,2,0,0,0,0"])
    form, codec = ObservationForm("vector", (1,), 1), action_codec(Discrete(2))
    judged = lived(log, np.array([0, 1, 60]), form, codec)
    assert judged.followed.tolist() == [True, True, True, False, True]
    assert judged.next_actions.tolist() == [[0, 1], [0, 0], [0, 1], [0, 0], [1, 0]]
