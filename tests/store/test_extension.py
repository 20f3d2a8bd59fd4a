"""More to do for a job: what is more, what is refused, and what stays as it was."""

import pytest

from store.database import Database
from store.endings import hand_back
from store.errors import EstimateTooLarge, InvalidInput
from store.estimate import estimate
from store.extension import extend_job
from store.jobs import get_job
from store.lifecycle import cancel_job, pause_job
from store.policies import succeed
from store.settings import Settings
from store.states import Reason
from store.tables import Job
from tests.store.acting import evaluate, events, reload, running, spec, submit, succeeded

LONGER = 2_000


def found(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return get_job(session, job_id)


def test_an_extended_job_has_more_to_do(database: Database, settings: Settings) -> None:
    job_id = succeeded(database, settings).job_id
    before = found(database, job_id)
    job = extend_job(database, settings, job_id, {"total_steps": LONGER})
    assert (job.status, job.reason) == ("queued", "extended_by_user")
    assert (job.total_steps, job.spec["budget"]["total_steps"]) == (LONGER, LONGER)
    assert job.weights_sha256 is None
    rest = {key: value for key, value in before.spec.items() if key != "budget"}
    assert {key: job.spec[key] for key in rest} == rest, "only the budget is another"
    assert events(database, job)[-2][1:] == ("extended", {"total_steps": LONGER})


def test_a_much_longer_job_is_looked_at_less_often(database: Database, settings: Settings) -> None:
    """Two thousand evaluations are enough; those of a short job would come to eighteen thousand."""
    job = extend_job(
        database, settings, succeeded(database, settings).job_id, {"total_steps": 900_000}
    )
    assert job.spec["evaluation"]["every_steps"] == 450
    assert job.spec["checkpointing"]["every_steps"] == 450


def test_every_end_of_a_job_is_extended_or_taken_away(
    database: Database, settings: Settings
) -> None:
    budget = {"total_steps": 1_000, "max_episodes": 3, "max_seconds": 60.0}
    job = submit(database, budget=budget, early_stopping={"target_return": 5.0})
    ends = {"max_episodes": 4, "max_seconds": 1.0, "target_return": None}
    spec_after = extend_job(database, settings, job.id, ends).spec
    assert spec_after["budget"] == {"total_steps": 1_000, "max_episodes": 4, "max_seconds": 1.0}
    assert spec_after["early_stopping"] == {"target_return": None}
    for name, value in (("max_episodes", 4), ("target_return", 7.0)):
        with pytest.raises(InvalidInput, match=f"{name}={value} must be more than it is now"):
            extend_job(database, settings, job.id, {name: value})


def test_a_job_that_has_done_its_steps_needs_more_of_them(
    database: Database, settings: Settings
) -> None:
    job_id = succeeded(database, settings).job_id
    with pytest.raises(InvalidInput, match="total_steps=1000 must be more than the 1000 that are"):
        extend_job(database, settings, job_id, {"max_seconds": 60.0})


def test_an_extension_that_leaves_nothing_to_do_is_refused(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings, early_stopping={"target_return": 100.0})
    evaluate(database, claimed, 300, 150.0)
    succeed(database, claimed, weights_sha256="ab", reason=Reason.TARGET_REACHED, step=300)
    for ends in ({"total_steps": LONGER}, {"target_return": 120.0}):
        with pytest.raises(InvalidInput, match=r"is reached already: an evaluation had 150\.0"):
            extend_job(database, settings, claimed.job_id, ends)
    extend_job(database, settings, claimed.job_id, {"target_return": 151.0})

    budget = {"total_steps": 1_000, "max_episodes": 3}
    cancel_job(database, claimed.job_id)  # it would be the next one to be claimed
    claimed = running(database, settings, budget=budget)
    succeed(database, claimed, weights_sha256="ab", reason=Reason.EPISODES_EXHAUSTED, step=300)
    with pytest.raises(InvalidInput, match="All max_episodes=3 are done"):
        extend_job(database, settings, claimed.job_id, {"total_steps": LONGER})
    extend_job(database, settings, claimed.job_id, {"max_episodes": None})


def test_new_seconds_begin_now(database: Database, settings: Settings) -> None:
    """Also for a job that is only paused, whose clock goes on otherwise."""
    claimed = running(database, settings, budget={"total_steps": 1_000, "max_seconds": 60.0})
    pause_job(database, claimed.job_id)
    hand_back(database, claimed, Reason.DRAINED)
    extend_job(database, settings, claimed.job_id, {"total_steps": LONGER})
    assert reload(database, claimed).clock_after_attempt == 0
    extend_job(database, settings, claimed.job_id, {"max_seconds": 30.0})
    assert reload(database, claimed).clock_after_attempt == 1


@pytest.mark.parametrize("steps", [1, 999, 1_000])
def test_an_extension_that_is_none_is_refused(
    database: Database, settings: Settings, steps: int
) -> None:
    job_id = succeeded(database, settings).job_id
    with pytest.raises(
        InvalidInput, match=f"total_steps={steps} must be more than it is now: 1000"
    ):
        extend_job(database, settings, job_id, {"total_steps": steps})
    assert found(database, job_id).status == "succeeded"


def test_an_extension_beyond_the_memory_is_refused(database: Database, settings: Settings) -> None:
    """A longer run fills more of its replay buffer."""
    job_id = succeeded(database, settings).job_id
    needed = estimate(spec()).memory_bytes
    small = settings.model_copy(update={"job_memory_bytes": needed + 1_000})
    with pytest.raises(EstimateTooLarge):
        extend_job(database, small, job_id, {"total_steps": 90_000})
    assert found(database, job_id).total_steps == 1_000
