from dataclasses import asdict, fields
from typing import Any

import pytest

from mrq_core.baselines.session import BaselineSession
from mrq_core.baselines.settings import BASELINES, BOUNDS, DQN, PPO, PRESETS, TD3, name_of
from mrq_core.baselines.size import parameter_count
from tests.mrq_core.baselines.runs import RUNS, a_run

HALF: dict[str, Any] = {"batch_size": 2.5}
EACH = [(name, field.name) for name, kind in BASELINES.items() for field in fields(kind)]


@pytest.mark.parametrize(("name", "field"), EACH)
def test_bounds_of_every_setting(name: str, field: str) -> None:
    least, most = BOUNDS[field]
    kind: Any = BASELINES[name]
    for value in (least - 1, most + 1, float("nan"), True, "1"):
        with pytest.raises(ValueError, match=f"^{field} is .*; it must be"):
            kind(**{field: value})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: DQN(buffer_size=100, warmup_steps=100), "warmup_steps is 100; it must be below"),
        (lambda: PPO(rollout_steps=100, batch_size=64), "batch_size is 64; it must divide"),
        (lambda: TD3(**HALF), "batch_size is 2.5; it must be an integer"),
    ],
)
def test_what_does_not_fit_together(make: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()


def test_every_preset_has_every_algorithm() -> None:
    assert {name: set(preset) for name, preset in PRESETS.items()} == {
        "paper": set(BASELINES),
        "small": set(BASELINES),
    }
    assert all(name_of(b) == name for preset in PRESETS.values() for name, b in preset.items())
    assert asdict(PRESETS["paper"]["dqn"]) == asdict(DQN())


@pytest.mark.parametrize("name", RUNS)
def test_the_number_of_parameters_is_told_beforehand(name: str) -> None:
    session = BaselineSession(a_run(name))
    environment = session.environment
    assert session.run.baseline is not None
    states = {"q_learning": 48, "q_learning, masked": 500}.get(name, 0)

    told = parameter_count(
        session.run.baseline,
        environment.form.input_shape,
        environment.codec.action_dim,
        discrete=environment.codec.discrete,
        states=states,
    )

    assert told == session.parameter_count()
