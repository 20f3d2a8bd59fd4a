"""A policy from elsewhere becomes the next version of a name, with a job that has ended.

All of it is in rows, so one transaction makes it, and what is interrupted leaves nothing. The job
is there for what belongs to jobs: files, deletion, pages. It says what is known of the training,
and no attempt stands behind it.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import insert, select
from sqlalchemy.orm import Session, undefer

from store.artifacts import NO_ATTEMPT
from store.clock import now_ms
from store.database import Database
from store.errors import InvalidPolicy
from store.events import append_event
from store.ids import new_id
from store.imported_policy import Manifest, read_manifest
from store.onnx_file import require_harmless
from store.policies import promote_in
from store.results import POLICY_FORMAT_VERSION
from store.servable import GRAPH, MANIFEST, MODEL
from store.spec import Name, default_name
from store.states import CheckpointKind, JobStatus, Reason
from store.tables import Checkpoint, Job, Policy, PolicyName


@dataclass(frozen=True, kw_only=True)
class PolicyParts:
    """The files of a policy. `told` is the manifest as it came, `facts` what of it is read."""

    name: str
    manifest_bytes: bytes
    told: dict[str, Any]
    facts: Manifest
    onnx: bytes
    model: bytes | None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.onnx).hexdigest()


def read_parts(
    manifest: bytes, onnx: bytes, model: bytes | None, *, name: str | None, sha256: str | None
) -> PolicyParts:
    """All that can be seen without running a graph. `sha256`: what the graph's should be, if that
    is known. Raises `InvalidPolicy`."""
    found = hashlib.sha256(onnx).hexdigest()
    if sha256 is not None and sha256 != found:
        what = f"sha256={found} is not the one that was stated"
        raise InvalidPolicy(f"{GRAPH}: {what}; allowed: {sha256}.", param=GRAPH, allowed=sha256)
    told, facts = read_manifest(manifest)
    require_harmless(GRAPH, onnx)
    if model is not None:
        _require_told(facts, model)
        require_harmless(MODEL, model)
    elif facts.model is not None:  # as earlier releases exported it: it imagines nothing here
        told = {key: value for key, value in told.items() if key != "model"}
    return PolicyParts(
        name=name or _default_name(facts),
        manifest_bytes=orjson.dumps(told),
        told=told,
        facts=facts,
        onnx=onnx,
        model=model,
    )


def _require_told(facts: Manifest, model: bytes) -> None:
    if facts.model is None:
        text = f"{MODEL}: {MANIFEST} says nothing of it"
        raise InvalidPolicy(f"{text}; allowed: with `model` there.", param=MODEL)
    found, stated = hashlib.sha256(model).hexdigest(), facts.model.sha256
    if found != stated:
        what = f"sha256={found} is not that of model.sha256 in {MANIFEST}"
        raise InvalidPolicy(f"{MODEL}: {what}; allowed: {stated}.", param=MODEL, allowed=stated)


def _default_name(facts: Manifest) -> str:
    """As a job's."""
    name = default_name(_environment_of(facts), facts.algorithm)
    try:
        return TypeAdapter(Name).validate_python(name)
    except ValidationError:
        text = f"{MANIFEST}: of environment_id={facts.environment_id!r} no name can be made"
        raise InvalidPolicy(f"{text}; allowed: one of your own.", param="name") from None


def _environment_of(facts: Manifest) -> str:
    """Without the module that training imported first."""
    return facts.environment_id.rpartition(":")[2]


def import_policy(database: Database, parts: PolicyParts) -> tuple[Policy, bool]:
    """Returns the policy and whether it is new. If the newest version of the name is this very
    one, it is that: a policy that is sent again makes nothing."""
    with database.write() as session:
        newest = _newest(session, parts.name)
        if newest is not None and _is_same(session, newest, parts):
            return newest, False
        job = _insert_job(session, parts)
        checkpoint_id = _insert_checkpoint(session, job, parts)
        policy = promote_in(session, job, checkpoint_id, parts.name)
        job.best_checkpoint_id = checkpoint_id
        return policy, True


def _newest(session: Session, name: str) -> Policy | None:
    """Of two that ask at once the second one waits, unless nobody ever asked before."""
    session.execute(select(PolicyName).where(PolicyName.name == name).with_for_update())
    query = select(Policy).where(Policy.name == name).order_by(Policy.version.desc()).limit(1)
    return session.scalars(query).one_or_none()


def _is_same(session: Session, policy: Policy, parts: PolicyParts) -> bool:
    sha256 = select(Checkpoint.sha256).where(Checkpoint.id == policy.checkpoint_id)
    if session.scalars(sha256).one() != parts.sha256:
        return False
    checkpoint = session.get_one(
        Checkpoint, policy.checkpoint_id, options=[undefer(Checkpoint.model_onnx)]
    )
    return checkpoint.manifest == parts.told and checkpoint.model_onnx == parts.model


def _insert_job(session: Session, parts: PolicyParts) -> Job:
    facts, spec = parts.facts, _spec_of(parts)
    written = orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)
    row = insert(Job).values(
        id=new_id("job"),
        name=parts.name,
        labels={},
        environment_id=_environment_of(facts),
        spec=spec,
        spec_sha256=hashlib.sha256(written).hexdigest(),
        total_steps=spec["budget"]["total_steps"],
        priority=0,
        status=JobStatus.SUCCEEDED,
        reason=Reason.IMPORTED,
        step=facts.step,
        weights_sha256=facts.weights_sha256 or None,
        created_at=now_ms(),
        finished_at=now_ms(),
    )
    job = session.scalars(row.returning(Job)).one()
    data = {"status": JobStatus.SUCCEEDED, "reason": Reason.IMPORTED}
    append_event(session, job.number, "status", data)
    return job


def _spec_of(parts: PolicyParts) -> dict[str, Any]:
    """What is known of it. No `JobSpec`: the environment may be one that is not of this service."""
    facts = parts.facts
    environment: dict[str, Any] = {
        "id": _environment_of(facts),
        "kwargs": facts.environment_kwargs,
        "history": facts.history,
    }
    if facts.input_shape is not None:
        environment["observation"] = {"kind": facts.observation_kind, "shape": facts.input_shape}
    return {
        "name": parts.name,
        "labels": {},
        "priority": 0,
        "environment": environment,
        "algorithm": {
            "name": facts.algorithm,
            "preset": "paper",
            "hyperparameters": facts.hyperparameters,
        },
        "budget": {"total_steps": max(1, facts.step)},
        "seed": 0,
    }


def _insert_checkpoint(session: Session, job: Job, parts: PolicyParts) -> str:
    identity = new_id("ckpt")
    session.execute(
        insert(Checkpoint).values(
            id=identity,
            job_number=job.number,
            attempt=NO_ATTEMPT,
            step=parts.facts.step,
            kind=CheckpointKind.POLICY,
            size_bytes=len(parts.onnx) + len(parts.model or b""),
            sha256=parts.sha256,
            format_version=POLICY_FORMAT_VERSION,
            manifest=parts.told,
            onnx=parts.onnx,
            model_onnx=parts.model,
            created_at=now_ms(),
        )
    )
    return identity
