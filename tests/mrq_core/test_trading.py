"""Trades, costs and rewards by numbers worked out here; the past does not feel the future."""

import hashlib
import math
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from mrq_core.environments import Environment, environment_of
from mrq_core.errors import EnvironmentFault
from mrq_core.evaluation import Evaluator
from mrq_core.events import Finished, Started
from mrq_core.markets.account import Account, Costs, Market
from mrq_core.markets.decisions import BUY, HOLD, SELL, position_after
from mrq_core.markets.features import HIGHEST, LOWEST, scaled_features
from mrq_core.markets.series import Series, open_series
from mrq_core.markets.split import SplitRefused, split
from mrq_core.run import DatasetFile, Split, TrainingRun
from mrq_core.tasks.trading import Trading, made_series
from mrq_core.training import train
from tests.mrq_core.test_resume import follow, stop_at
from tests.mrq_core.toys import tiny_run
from tests.prices import closes, csv_of, rows, series_of

FREE = Costs(fee=0.0, slippage=0.0)
DEAR = Costs(fee=0.01, slippage=0.02)
KWARGS: dict[str, Any] = {"validation_fraction": 0.2, "test_fraction": 0.2, "embargo": 5}


def stored(folder: Path, content: bytes) -> dict[str, Any]:
    """As the service hands a dataset to the environment."""
    file = folder / "prices.csv"
    file.write_bytes(content)
    columns = series_of(content).columns
    sha256 = hashlib.sha256(content).hexdigest()
    return {
        "file": str(file),
        "sha256": sha256,
        "roles": columns.roles,
        "features": columns.features,
    }


# ---- trades


def test_buying_and_selling_costs_what_it_says() -> None:
    account = Account(DEAR)
    account.move_to(1, 100.0)
    units = 1 / (100 * 1.02 * 1.01)
    assert account.units == pytest.approx(units)
    assert account.equity(110.0) == pytest.approx(units * 110)
    account.move_to(0, 110.0)
    assert account.units == 0
    assert account.cash == pytest.approx(units * 110 * 0.98 * 0.99)
    assert account.trades == 2


def test_a_short_gains_when_the_price_falls() -> None:
    account = Account(FREE)
    account.move_to(-1, 100.0)
    assert account.equity(90.0) == pytest.approx(1.1)
    assert account.equity(150.0) == pytest.approx(0.5)
    account.move_to(1, 90.0)  # closed, and all of it in the market
    assert account.equity(99.0) == pytest.approx(1.1 * 1.1)
    assert account.turnover == pytest.approx(1 + 0.9 / 1.1 + 1)


def test_what_is_decided_is_traded_at_the_next_open() -> None:
    series = series_of(csv_of(rows()))
    market = Market(series, range(10, 20), FREE)
    reward = market.step(1)
    assert reward == pytest.approx(math.log(series.of("close")[11] / series.of("open")[11]))
    reward = market.step(0)  # held over night, sold in the morning
    assert reward == pytest.approx(math.log(series.of("open")[12] / series.of("close")[11]))
    assert market.step(0) == 0.0


def test_the_rewards_are_the_change_of_the_equity() -> None:
    series = series_of(csv_of(rows()))
    market = Market(series, range(50), DEAR)
    rng = np.random.default_rng(0)
    total = 0.0
    while not market.over:
        total += market.step(int(rng.integers(-1, 2)))
    assert market.equity == pytest.approx(math.exp(total))
    assert market.row == 49


def test_who_loses_everything_is_out() -> None:
    table = rows()
    for row in table[20:]:
        row[1:5] = [str(float(cell) * 10) for cell in row[1:5]]
    market = Market(series_of(csv_of(table)), range(10, 100), FREE)
    while not market.over:
        market.step(-1)
    assert market.ruined
    assert market.row == 20


@pytest.mark.parametrize(
    ("action", "position", "short", "after"),
    [
        (BUY, 0, False, 1), (BUY, 1, False, 1), (HOLD, 1, False, 1), (SELL, 1, False, 0),
        (SELL, 0, False, 0), (SELL, 0, True, -1), (SELL, -1, True, -1), (BUY, -1, True, 0),
    ],
)  # fmt: skip
def test_where_an_action_leads(action: int, position: int, short: bool, after: int) -> None:
    assert position_after(action, position, allow_short=short) == after


# ---- splits and features


def test_splits_are_in_order_with_an_embargo_between() -> None:
    splits = split(1_000, **KWARGS)
    assert splits.train == range(595)
    assert splits.validation == range(600, 795)
    assert splits.test == range(800, 1_000)
    assert split(1_000, **KWARGS | {"embargo": 50}).test == splits.test


@pytest.mark.parametrize(
    ("count", "changes", "name"),
    [(100, {"embargo": 60}, "train"), (100, {"embargo": 15}, "validation"),
     (100, {"test_fraction": 0.05, "validation_fraction": 0.4}, "test")],
)  # fmt: skip
def test_a_split_that_is_left_with_too_little_is_refused(
    count: int, changes: dict[str, Any], name: str
) -> None:
    with pytest.raises(SplitRefused, match=f"of {count} rows the {name} split would have"):
        split(count, **KWARGS | changes)


def test_scaling_is_fitted_on_the_training_rows_alone() -> None:
    table = rows(300)
    for row in table[200:]:  # twice as high as anything before
        row[1:5] = [str(float(cell) * 2) for cell in row[1:5]]
    series = series_of(csv_of(table))
    frames = scaled_features(series, range(180), relative=False)
    learnt = closes(table)[1:180]
    low, high = learnt.min(), learnt.max()
    expected = np.clip((closes(table) - low) / (high - low), LOWEST, HIGHEST)
    assert frames[:, 3] == pytest.approx(expected, abs=1e-6)
    assert frames[200:, 3].max() == HIGHEST
    assert 0 <= frames[1:180].min() <= frames[1:180].max() <= 1


# ---- the environment


def test_it_keeps_gymnasiums_contract() -> None:
    check_env(Trading(), skip_render_check=True)


def test_training_and_evaluation_walk_through_their_own_rows(tmp_path: Path) -> None:
    data = stored(tmp_path, csv_of(rows(1_500)))
    splits: dict[Split, range] = {"train": range(895), "validation": range(900, 1_195)}
    for name, allowed in splits.items():
        env = Trading(**data, split=name)
        assert len(env.series) == 1_195, "nothing is made of the test split"
        starts = set()
        for seed in range(20):
            _, info = env.reset(seed=seed)
            starts.add(info["row"])
            ended = False
            while not ended:
                _, _, terminated, ended, info = env.step(np.int64(HOLD))
                assert info["row"] in allowed
                assert not terminated
        assert len(starts) > 5
        assert info["row"] == allowed.stop - 1


def test_reward_is_in_percent_and_the_position_is_seen(tmp_path: Path) -> None:
    data = stored(tmp_path, csv_of(rows(400), further={"mood": np.arange(400)}))
    env = Trading(**data, fee=0.0, slippage=0.0)
    first, info = env.reset(seed=1)
    assert first.shape == (7,)
    assert first[-1] == 0
    row = info["row"] + 1
    seen, reward, *_ = env.step(np.int64(BUY))
    close, open_ = env.series.of("close")[row], env.series.of("open")[row]
    assert reward == pytest.approx(100 * math.log(close / open_))
    assert seen[-1] == 1


def test_a_file_is_read_once_for_the_environments_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def reading(file: Path, *rest: Any) -> Series:
        opened.append(file)
        return open_series(file, *rest)

    monkeypatch.setattr("mrq_core.tasks.trading.open_series", reading)
    data = stored(tmp_path, csv_of(rows()))
    one, other = Trading(**data), Trading(**data, split="validation", fee=0.0)
    assert one.series is other.series
    assert (one.rows, other.rows) == (range(175), range(180, 235))
    assert len(Trading(**data, test_fraction=0.1).series) > len(one.series)
    assert len(opened) == 2


def test_another_file_and_a_leak_are_refused(tmp_path: Path) -> None:
    data = stored(tmp_path, csv_of(rows()))
    Path(data["file"]).write_bytes(csv_of(rows(seed=1)))
    with pytest.raises(EnvironmentFault, match="the dataset's file has sha256"):
        Environment("mrq_core.tasks:mrq/Trading-v0", data, None)
    table = rows()
    leak = np.append(closes(table)[1:], 1.0)
    data = stored(tmp_path, csv_of(table, further={"leak": leak}))
    with pytest.raises(EnvironmentFault, match="It knows the future"):
        Environment("mrq_core.tasks:mrq/Trading-v0", data, None)


def test_an_evaluation_sees_the_validation_split(tmp_path: Path) -> None:
    data = stored(tmp_path, csv_of(rows(1_000)))
    file = DatasetFile(
        path=data["file"], sha256=data["sha256"], roles=data["roles"], features=data["features"]
    )
    run = TrainingRun(environment_id="mrq_core.tasks:mrq/Trading-v0", dataset=file, total_steps=1)
    splits: dict[Split, range] = {"train": range(595), "validation": range(600, 795)}
    for name, expected in splits.items():
        trading = environment_of(run, name).env.unwrapped
        assert isinstance(trading, Trading)
        assert trading.rows == expected
    evaluating = Evaluator(run).environment.env.unwrapped
    assert isinstance(evaluating, Trading)
    assert evaluating.rows == splits["validation"]
    elsewhere = DatasetFile(
        path="/other/host", sha256=file.sha256, roles=file.roles, features=file.features
    )
    moved = TrainingRun(environment_id=run.environment_id, dataset=elsewhere, total_steps=1)
    assert moved.spec_sha256() == run.spec_sha256(), "where a file lies is not what is learnt"


def test_the_made_series_is_the_same_each_time() -> None:
    assert (made_series().values == made_series().values).all()
    env = gymnasium.make("mrq_core.tasks:mrq/Trading-v0", disable_env_checker=True)
    observation, _ = env.reset(seed=0)
    assert observation.shape == (6,)


# ---- the past does not feel the future


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(240, 298), st.booleans(), st.booleans())
def test_shuffling_future_rows_changes_nothing_that_was_before(
    seed: int, now: int, relative: bool, short: bool
) -> None:
    """Rows after `now` trade places. All that was seen, decided and earned until then is the same:
    the decisions follow from the observations, by a rule that any change of them would show in."""
    table = rows(300)
    rng = np.random.default_rng(seed)
    order = [*range(now + 1), *(now + 1 + rng.permutation(299 - now))]
    shuffled = [[table[n][0], *table[order[n]][1:]] for n in range(300)]
    train = split(300, **KWARGS).train
    walks = []
    for each in (table, shuffled):
        series = series_of(csv_of(each))
        frames = scaled_features(series, train, relative=relative)
        market = Market(series, range(200, 300), DEAR)
        walk = []
        while market.row < now:
            position = market.account.position
            action = int(1_000 * abs(float(frames[market.row].sum()))) % 3
            position = position_after(action, position, allow_short=short)
            walk.append((frames[market.row].tolist(), action, market.step(position)))
        walks.append((walk, frames[now].tolist()))
    assert walks[0] == walks[1]


def test_a_run_that_goes_on_on_another_host_ends_as_one_that_ran_through(tmp_path: Path) -> None:
    data = stored(tmp_path, csv_of(rows(400)))

    def run_on(path: str) -> TrainingRun:
        file = DatasetFile(
            path=path, sha256=data["sha256"], roles=data["roles"], features=data["features"]
        )
        changes = {"dataset": file, "history": 4, "max_episode_steps": 40}
        return tiny_run("mrq_core.tasks:mrq/Trading-v0", **changes)

    torch.set_num_threads(1)
    whole = list(train(run_on(data["file"])))[-1]
    follow(train(run_on(data["file"]), stop=stop_at(61)), tmp_path)
    elsewhere = tmp_path / "elsewhere.csv"
    Path(data["file"]).rename(elsewhere)
    rest = follow(train(run_on(str(elsewhere)), resume_from=tmp_path / "61"), tmp_path)
    assert isinstance(whole, Finished)
    assert rest[-1] == whole
    assert isinstance(rest[0], Started)
    assert rest[0].exact
