import dataclasses
import math
import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from mrq_core.agent import Agent
from mrq_core.config import BOUNDS, PRESETS, Hyperparameters, parameter_count

NUMBERS = [field for field in dataclasses.fields(Hyperparameters) if field.type != "bool"]


def test_the_paper_preset_has_the_papers_size() -> None:
    # Counted in the specification: HalfCheetah 3.857M, Humanoid (376 observations) 4.049M.
    assert parameter_count(PRESETS["paper"], (17,), 6) == 3_857_226
    assert parameter_count(PRESETS["paper"], (376,), 17) == 4_049_493


def test_every_number_has_bounds() -> None:
    assert {field.name for field in NUMBERS} == set(BOUNDS)


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: str(field.name))
def test_both_bounds_are_allowed_and_nothing_beyond(field: dataclasses.Field[Any]) -> None:
    low, high = BOUNDS[field.name]
    room = {"warmup_steps": {"buffer_size": 10_000_000}, "buffer_size": {"warmup_steps": 1}}
    others: dict[str, Any] = dict(room.get(field.name, {}))
    for value in (low, high):
        made = Hyperparameters(**{field.name: value, **others})
        assert getattr(made, field.name) == value
    whole = field.type == "int"
    for beyond in (low - 1, high + 1) if whole else (low - 1e-9, high * 1.001, math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"^{field.name} is .*between {low} and {high}$"):
            Hyperparameters(**{field.name: beyond, **others})


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", True), ("batch_size", 64.0), ("batch_size", "64"), ("zero_reward_guard", 1)],
)
def test_a_wrong_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {value!r}; it must be"):
        Hyperparameters(**{name: value})


def test_one_and_one_point_zero_are_one_setting() -> None:
    assert repr(Hyperparameters(discount=1)) == repr(Hyperparameters(discount=1.0))


def test_a_warmup_that_never_ends_is_refused() -> None:
    with pytest.raises(ValueError, match=r"warmup_steps is 1000; it must be below buffer_size"):
        Hyperparameters(buffer_size=1000, warmup_steps=1000)


def test_pydantic_validates_it_in_place() -> None:
    adapter = TypeAdapter(Hyperparameters)

    assert adapter.validate_python({"batch_size": 64}) == Hyperparameters(batch_size=64)
    for wrong in ({"batch_sizes": 64}, {"batch_size": 70_000}, {"discount": "much"}):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_parameter_count_is_the_agents(preset: str) -> None:
    h = PRESETS[preset]
    agent = Agent(h, (11,), 3, seed=0)

    online = (agent.encoder, agent.value, agent.policy)
    assert parameter_count(h, (11,), 3) == sum(p.numel() for n in online for p in n.parameters())


def test_server_side_modules_load_neither_torch_nor_gymnasium() -> None:
    names = (
        *("config", "spaces", "observations", "actions", "bundle", "events", "run", "errors"),
        "seeds",
    )
    imports = ", ".join(f"mrq_core.{name}" for name in names)
    code = f"import sys, {imports}; print({{'torch', 'gymnasium', 'onnx'}} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "set()"
