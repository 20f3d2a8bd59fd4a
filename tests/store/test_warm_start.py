"""Which checkpoint a job begins with, and what is refused before it is submitted."""

from dataclasses import fields, replace
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import update

from mrq_core.config import NETWORK_SETTINGS, PRESETS, Hyperparameters, parameter_count
from store.cloning import cloned_spec
from store.database import Database
from store.deletion import delete_job
from store.errors import DomainError, InvalidInput, NotFound
from store.estimate import estimate
from store.expiry import expire_checkpoints
from store.extension import extend_job
from store.groups import jobs_of, submit_group
from store.jobs import submit_job
from store.ownership import Claim
from store.policies import succeed
from store.revision import revise_job
from store.seeds import JobRequest
from store.settings import Settings
from store.spec import JobSpec
from store.tables import Job
from tests.store.acting import (
    BODY,
    change,
    checkpoint,
    evaluate,
    running,
    save,
    spec,
    submit,
)
from tests.store.specs import refusal


@pytest.fixture
def source(database: Database, settings: Settings) -> Claim:
    claimed = running(database, settings)
    for step in (100, 200):
        save(database, claimed, step)
    return claimed


def refused(database: Database, **changes: Any) -> tuple[type[DomainError], str | None, str]:
    with pytest.raises(DomainError) as caught:
        submit(database, **changes)
    return type(caught.value), caught.value.param, caught.value.message


def begin(database: Database, claimed: Claim, step: int = 200, **changes: Any) -> Job:
    begins = {"checkpoint_id": named(database, claimed, step)}
    return submit(database, init_from=begins, **changes)


def named(database: Database, claimed: Claim, step: int) -> str:
    return checkpoint(database, claimed, step).id


def test_a_job_that_begins_with_nothing_is_what_it_always_was(database: Database) -> None:
    job = submit(database)
    assert "init_from" not in job.spec
    assert job.init_checkpoint_id is None
    assert spec(init_from=None).sha256() == job.spec_sha256


def test_a_checkpoint_is_resolved_to_all_that_names_it(database: Database, source: Claim) -> None:
    identity = named(database, source, 100)
    job = submit(database, init_from={"checkpoint_id": identity})
    assert job.init_checkpoint_id == identity
    assert job.spec["init_from"] == {
        "checkpoint_id": identity,
        "job_id": source.job_id,
        "load": "weights",
        "sha256": "0" * 64,
    }
    again = submit_job(database, JobSpec.model_validate(job.spec))[0]
    assert (again.spec, again.spec_sha256) == (job.spec, job.spec_sha256)


def test_a_job_stands_for_its_newest_checkpoint(database: Database, source: Claim) -> None:
    job = submit(database, init_from={"job_id": source.job_id, "load": "all"})
    assert job.init_checkpoint_id == named(database, source, 200)
    assert job.spec["init_from"]["load"] == "all"


def test_the_jobs_of_a_group_share_one(database: Database, source: Claim) -> None:
    body = BODY | {"seeds": [0, 1, 2], "init_from": {"job_id": source.job_id}}
    specs = JobRequest.model_validate(body).specs()
    group, _ = submit_group(database, "a", specs)
    with database.read() as session:
        jobs = jobs_of(session, group)
    assert {job.init_checkpoint_id for job in jobs} == {named(database, source, 200)}
    assert [job.spec["seed"] for job in jobs] == [0, 1, 2]


def test_what_is_revised_or_extended_keeps_it(
    database: Database, settings: Settings, source: Claim
) -> None:
    job = begin(database, source)
    assert revise_job(database, job.id, {"priority": 3}).spec["init_from"] == job.spec["init_from"]
    extended = extend_job(database, settings, job.id, {"total_steps": 2_000})
    assert extended.spec["init_from"] == job.spec["init_from"]


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({}, "init_from.checkpoint_id"),
        ({"load": "all"}, "init_from.checkpoint_id"),
        ({"checkpoint_id": "ckpt_1", "job_id": "job_1"}, "init_from.checkpoint_id"),
        ({"checkpoint_id": "ckpt_1", "sha256": "0" * 64}, "init_from.checkpoint_id"),
        ({"job_id": "job_1", "sha256": "0" * 64}, "init_from.job_id"),
        ({"checkpoint_id": "ckpt_1", "load": "policy"}, "init_from.load"),
        ({"checkpoint_id": "a\x00b"}, "init_from.checkpoint_id"),
        ({"checkpoint_id": 1}, "init_from.checkpoint_id"),
        ({"job_id": "../x"}, "init_from.job_id"),
    ],
)
def test_a_source_that_is_not_named_well(asked: dict[str, Any], path: str) -> None:
    assert refusal({"init_from": asked})[0] == path


def test_a_source_that_is_not_there(database: Database) -> None:
    for name, value in (("checkpoint_id", "ckpt_none"), ("job_id", "job_none")):
        kind, param, told = refused(database, init_from={name: value})
        assert (kind, param) == (NotFound, f"init_from.{name}")
        assert value in told


def test_a_policy_s_checkpoint_holds_too_little(database: Database, source: Claim) -> None:
    identity = evaluate(database, source, 200, 1.0)
    kind, param, told = refused(database, init_from={"checkpoint_id": identity})
    assert (kind, param) == (InvalidInput, "init_from.checkpoint_id")
    assert "kind policy; needed: one of kind training" in told


def test_a_job_without_a_checkpoint(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    kind, param, told = refused(database, init_from={"job_id": claimed.job_id})
    assert (kind, param) == (InvalidInput, "init_from.job_id")
    assert "it is running and has written none yet" in told


def test_a_deleted_job_is_no_source(database: Database, source: Claim) -> None:
    identity = named(database, source, 200)
    succeed(database, source, weights_sha256="ab", step=1_000)
    delete_job(database, source.job_id)
    assert refused(database, init_from={"checkpoint_id": identity})[0] is NotFound
    assert refused(database, init_from={"job_id": source.job_id})[0] is NotFound


def test_an_expired_job_is_no_source(database: Database, settings: Settings, source: Claim) -> None:
    identity = named(database, source, 200)
    succeed(database, source, weights_sha256="ab", step=1_000)
    change(database, source, finished_at=1)
    soon = settings.model_copy(update={"checkpoint_ttl_seconds": 1.0})
    assert expire_checkpoints(database, soon) == [source.job_id]
    assert refused(database, init_from={"checkpoint_id": identity})[0] is NotFound
    kind, _, told = refused(database, init_from={"job_id": source.job_id})
    assert kind is InvalidInput
    assert "deleted after their time to live" in told


@pytest.mark.parametrize("field", ["job_id", "sha256"])
def test_a_resolved_spec_that_was_changed(database: Database, source: Claim, field: str) -> None:
    resolved = begin(database, source).spec["init_from"]
    other = resolved | {field: "job_other" if field == "job_id" else "f" * 64}
    assert refused(database, init_from=other)[:2] == (InvalidInput, f"init_from.{field}")


def test_a_source_of_another_release(database: Database, source: Claim) -> None:
    with database.write() as session:
        session.execute(update(Job).values(spec={"environment": {"id": "Gone-v0"}}))
    kind, param, told = refused(database, init_from={"job_id": source.job_id})
    assert (kind, param) == (InvalidInput, "init_from.checkpoint_id")
    assert "another release" in told


def settings_of(**values: Any) -> dict[str, Any]:
    return {"algorithm": {"hyperparameters": values}}


@pytest.mark.parametrize("load", ["weights", "all"])
@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        (settings_of(zs_dim=64), "algorithm.hyperparameters.zs_dim", "is 64 here and 512 there"),
        (settings_of(num_bins=33), "algorithm.hyperparameters.num_bins", "33 here and 65 there"),
        ({"environment": {"id": "CartPole-v1"}}, "environment.id", "vector [4] here"),
        ({"environment": {"id": "Pendulum-v1", "history": 2}}, "environment.history", "[6] here"),
        (
            {"environment": {"id": "mrq/PixelPendulum-v0"}},
            "environment.id",
            "pixels [4, 42, 42] here and vector [3] there",
        ),
    ],
)
def test_networks_of_another_form(
    database: Database, source: Claim, changes: dict[str, Any], field: str, told: str, load: str
) -> None:
    begins = {"job_id": source.job_id, "load": load}
    kind, param, text = refused(database, init_from=begins, **changes)
    assert (kind, param) == (InvalidInput, field)
    assert told in text
    assert text.startswith("init_from.checkpoint_id='ckpt_")


def test_actions_of_another_form(database: Database, settings: Settings) -> None:
    """CarRacing's and Catch's images could be alike; these two's vectors are."""
    claimed = running(database, settings, environment={"id": "LunarLander-v3"})
    save(database, claimed, 100)
    other = {"id": "LunarLanderContinuous-v3"}
    _, param, told = refused(database, environment=other, init_from={"job_id": claimed.job_id})
    assert param == "environment.id"
    assert "continuous 2 here and discrete [4] there" in told


@pytest.mark.parametrize("name", ["buffer_size", "enc_horizon", "q_horizon", "prioritized"])
def test_a_replay_of_another_form(database: Database, source: Claim, name: str) -> None:
    now = getattr(PRESETS["paper"], name)
    other = settings_of(**{name: (not now) if isinstance(now, bool) else now - 1})
    begins = {"job_id": source.job_id}
    _, param, told = refused(database, init_from=begins | {"load": "all"}, **other)
    assert param == f"algorithm.hyperparameters.{name}"
    assert "or load the weights alone" in told
    submit(database, init_from=begins, **other)


def test_another_task_of_the_same_form_is_taken(database: Database, source: Claim) -> None:
    begins = {"job_id": source.job_id, "load": "all"}
    submit(database, init_from=begins, environment={"id": "Pendulum-v1", "kwargs": {"g": 5.0}})
    submit(database, init_from=begins, **settings_of(discount=0.9, bin_range=9.0))


@pytest.mark.parametrize("name", [field.name for field in fields(Hyperparameters)])
def test_these_settings_and_no_others_decide_the_networks_form(name: str) -> None:
    h = PRESETS["small"]
    now = getattr(h, name)
    other = replace(h, **{name: not now}) if isinstance(now, bool) else None
    if other is None:
        step = type(now)(1) if isinstance(now, int) else now * 0.1
        try:
            other = replace(h, **{name: now + step})
        except ValueError:
            other = replace(h, **{name: now - step})
    differs = parameter_count(h, (3,), 1) != parameter_count(other, (3,), 1)
    assert differs == (name in NETWORK_SETTINGS)


def test_a_replay_from_elsewhere_counts_as_full(database: Database, source: Claim) -> None:
    begins = {"job_id": source.job_id, "load": "all"}
    whole, plain = spec(init_from=begins), spec()
    full = spec(budget={"total_steps": 100_000_000}, checkpointing={}, evaluation={})
    assert estimate(whole).replay_bytes == estimate(full).replay_bytes
    assert estimate(whole).replay_bytes > estimate(plain).replay_bytes


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, {"checkpoint_id": "c", "job_id": "j", "load": "all", "sha256": "s"}),
        (
            {"init_from": {"load": "weights"}},
            {"checkpoint_id": "c", "job_id": "j", "load": "weights", "sha256": "s"},
        ),
        ({"init_from": {"job_id": "other"}}, {"job_id": "other", "load": "all"}),
        ({"init_from": {"checkpoint_id": "d"}}, {"checkpoint_id": "d", "load": "all"}),
        ({"init_from": None}, None),
        ({"init_from": "x"}, "x"),  # for the validation to refuse
    ],
)
def test_a_clone_begins_alike_unless_it_is_told_otherwise(
    overrides: dict[str, Any], expected: Any
) -> None:
    begins = {"checkpoint_id": "c", "job_id": "j", "load": "all", "sha256": "s"}
    original = spec().to_json() | {"init_from": begins}
    assert cloned_spec(original, overrides).get("init_from") == expected


def test_a_clone_may_begin_where_its_original_began_with_nothing() -> None:
    made = cloned_spec(spec().to_json(), {"init_from": {"job_id": "j"}})
    assert made["init_from"] == {"job_id": "j"}


def test_the_worker_reads_what_is_stored(database: Database, source: Claim) -> None:
    stored = begin(database, source).spec
    assert JobSpec.model_validate(stored).to_json() == stored
    with pytest.raises(ValidationError):
        JobSpec.model_validate(stored | {"init_from": stored["init_from"] | {"job_id": None}})


def test_nothing_begins_with_a_baselines_checkpoint(database: Database, settings: Settings) -> None:
    claimed = running(database, settings, algorithm={"name": "sac"})
    save(database, claimed, 100)
    identity = named(database, claimed, 100)

    kind, param, message = refused(database, init_from={"checkpoint_id": identity})

    assert (kind, param) == (InvalidInput, "init_from.checkpoint_id")
    assert "is of algorithm.name='sac'" in message
