"""Whether the files of a stranger are a checkpoint of the job that a spec describes.

Either all that a run is resumed from, or the weights alone: `state.json` and the agent's file.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrq_core.layout import (
    AGENT,
    EPISODE,
    GENERATOR,
    LOOSE,
    STATE,
    Form,
    Forms,
    network_forms,
    optimizer_forms,
    segment_length,
    segment_name,
    slot_bytes,
    slot_forms,
    whole_segments,
)
from mrq_core.run import TrainingRun
from store.errors import InvalidCheckpoint, InvalidInput
from store.imported_state import ImportedState, ReplayState, read_state, require_resumable
from store.spec import JobSpec
from store.tensor_file import TensorFile, read_tensor_file
from store.training_runs import UNREAD, training_run

WEIGHTS_ALONE = frozenset({STATE, AGENT})
# Of any kind of device: a CPU's has 5,056.
MOST_GENERATOR_BYTES = 1 << 16
# What the weights mean does not depend on these.
_NOT_OF_WEIGHTS = frozenset({"seed", "warm_start"})


@dataclass(frozen=True, kw_only=True)
class ImportedCheckpoint:
    step: int
    best_return: float | None
    episodes: int | None  # that were begun before the one under way; None for weights alone
    resumable: bool


def examine(
    folder: Path, names: Collection[str], spec: JobSpec, alive: Callable[[], None]
) -> ImportedCheckpoint:
    """Reads every byte but needs little memory. `alive` is called now and then. Raises
    `InvalidCheckpoint`, and `InvalidInput` where the spec is what does not fit."""
    if spec.init_from is not None and spec.init_from.sha256 is None:
        text = "init_from of a run that has begun is as it was resolved there, with its sha256"
        raise InvalidInput(f"spec: {text}; allowed: that, or none.", param="spec")
    if spec.algorithm.baseline is not None:
        text = f"algorithm.name={spec.algorithm.name!r}: only MR.Q's checkpoints are imported"
        raise InvalidInput(f"spec: {text}; allowed: 'mrq'.", param="spec")
    for name in sorted(WEIGHTS_ALONE - set(names)):
        raise _of_file(name, "it is missing", f"at least {AGENT} and {STATE}")
    state = read_state(folder / STATE)
    resumable = set(names) != WEIGHTS_ALONE
    run = training_run(spec, "cpu", UNREAD)
    if resumable:
        require_resumable(state)
    _require_same_run(run, state, resumable=resumable)
    _require_room(spec, state)
    tensors = {name: read_tensor_file(folder / name) for name in sorted(names) if name != STATE}
    _require_agent(tensors[AGENT], spec, resumable=resumable)
    if resumable:
        _require_replay(tensors, spec, state)
    for file in tensors.values():
        file.require_finite(alive)
    return ImportedCheckpoint(
        step=state.step,
        best_return=state.best_return,
        episodes=state.episode.index if resumable and state.episode is not None else None,
        resumable=resumable,
    )


def _require_same_run(run: TrainingRun, state: ImportedState, *, resumable: bool) -> None:
    """As the trainer itself will ask of it, said before anything is stored."""
    if state.spec is None:
        return
    ignored = frozenset() if resumable else _NOT_OF_WEIGHTS
    ours = {key: value for key, value in run.spec().items() if key not in ignored}
    theirs = {key: value for key, value in state.spec.items() if key not in ignored}
    other = sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
    if other:
        key = other[0]
        raise InvalidInput(
            f"spec: {key}={_shown(ours.get(key))} is not what the checkpoint is of; allowed: "
            f"{_shown(theirs.get(key))}, as in {STATE}. Different in all: {', '.join(other)}.",
            param="spec",
        )
    if resumable and state.spec_sha256 != run.spec_sha256():
        what = f"spec_sha256={_shown(state.spec_sha256)} is not that of its spec"
        raise _of_file(STATE, what, run.spec_sha256())


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:199]}\N{HORIZONTAL ELLIPSIS}"


def _require_room(spec: JobSpec, state: ImportedState) -> None:
    total = spec.budget.total_steps
    if total < state.step:
        raise InvalidInput(
            f"spec: budget.total_steps={total} is less than what the checkpoint has done; "
            f"allowed: at least {state.step}.",
            param="spec",
        )


def _require_agent(file: TensorFile, spec: JobSpec, *, resumable: bool) -> None:
    h, entry = spec.algorithm.mrq, spec.environment.entry
    shape = spec.environment.form.input_shape
    networks = network_forms(h, shape, entry.action_dim)
    others = dict(optimizer_forms(h, shape, entry.action_dim))
    found = dict(file.forms)
    generator = found.pop(GENERATOR, None)
    if generator is not None:
        _require_bytes(generator)
    elif resumable:
        raise _of_tensor(AGENT, GENERATOR, "is missing", "one tensor of bytes")
    if not resumable:  # what it has of them must fit all the same
        others = {name: form for name, form in others.items() if name in found}
    _require_forms(AGENT, found, {**networks, **others})


def _require_bytes(generator: Form) -> None:
    if generator.dtype != "U8" or len(generator.shape) != 1:
        what = f"is {generator.dtype} {list(generator.shape)}"
        raise _of_tensor(AGENT, GENERATOR, what, "U8 with one dimension")
    if generator.shape[0] > MOST_GENERATOR_BYTES:
        what = f"has {generator.shape[0]} bytes"
        raise _of_tensor(AGENT, GENERATOR, what, f"{MOST_GENERATOR_BYTES} at most")


def _require_replay(tensors: dict[str, TensorFile], spec: JobSpec, state: ImportedState) -> None:
    h, entry, form = (
        spec.algorithm.mrq,
        spec.environment.entry,
        spec.environment.form,
    )
    replay = state.replay
    assert replay is not None
    length = segment_length(slot_bytes(form, entry.action_dim, masked=entry.masked), h.buffer_size)
    size = min(replay.head, h.buffer_size)
    _require_counters(replay, length)
    whole = whole_segments(replay.head, size, length)
    _require_files(tensors, {segment_name(number) for number in whole})

    def rows(count: int) -> dict[str, Form]:
        return slot_forms(form, entry.action_dim, count, masked=entry.masked)

    for number in whole:
        name = segment_name(number)
        _require_forms(name, tensors[name].forms, rows(length))
    loose = {
        **rows(size - len(whole) * length),
        "priority": Form("F64", (size,)),
        "eligible": Form("BOOL", (size,)),
    }
    _require_forms(LOOSE, tensors[LOOSE].forms, loose)
    _require_episode(tensors[EPISODE], spec)


def _require_counters(replay: ReplayState, length: int) -> None:
    if replay.segment_slots != length:
        what = f"replay.segment_slots={replay.segment_slots} is not that of the spec"
        raise _of_file(STATE, what, str(length))
    if replay.episode_length > replay.head:  # it may well be more than the ring holds
        what = f"replay.episode_length={replay.episode_length} is more than was ever stored"
        raise _of_file(STATE, what, f"{replay.head} at most")


def _require_files(found: Collection[str], segments: set[str]) -> None:
    wanted = {AGENT, EPISODE, LOOSE, *segments}
    alone = f"all of the checkpoint's files, or the weights alone: {AGENT} and {STATE}"
    for name in sorted(wanted - set(found)):
        raise _of_file(name, "it is missing", alone)
    for name in sorted(set(found) - wanted):
        raise _of_file(name, f"no file of this checkpoint is called {name!r}", ", ".join(wanted))


def _require_episode(file: TensorFile, spec: JobSpec) -> None:
    entry, form = spec.environment.entry, spec.environment.form
    found = dict(file.forms)
    actions = found.pop("actions", None)
    if actions is None or not 1 <= len(actions.shape) <= 2:
        shown = None if actions is None else list(actions.shape)
        raise _of_tensor(EPISODE, "actions", f"has shape {shown}", "one row for each action")
    limit = spec.environment.max_episode_steps
    if limit is not None and actions.shape[0] > limit:
        what = f"has {actions.shape[0]} rows"
        raise _of_tensor(EPISODE, "actions", what, f"{limit} at most, an episode's steps")
    expected = {"frames": Form("U8" if form.kind == "pixels" else "F32", _frames(spec))}
    if entry.masked:
        expected["mask"] = Form("BOOL", (entry.action_dim,))
    _require_forms(EPISODE, found, expected)


def _frames(spec: JobSpec) -> tuple[int, ...]:
    form = spec.environment.form
    return (form.history, *form.frame_shape)


def _require_forms(file: str, found: Forms, expected: Forms) -> None:
    for name in sorted(expected.keys() - found.keys()):
        form = expected[name]
        raise _of_tensor(file, name, "is missing", f"{form.dtype} {list(form.shape)}")
    for name in sorted(found.keys() - expected.keys()):
        raise _of_tensor(file, name, "is none of this job's", "those of its spec alone")
    for name, form in expected.items():
        if found[name] != form:
            what = f"is {found[name].dtype} {list(found[name].shape)}"
            raise _of_tensor(file, name, what, f"{form.dtype} {list(form.shape)}")


def _of_file(file: str, what: str, allowed: str) -> InvalidCheckpoint:
    return InvalidCheckpoint(f"{file}: {what}; allowed: {allowed}.", param=file, allowed=allowed)


def _of_tensor(file: str, tensor: str, what: str, allowed: str) -> InvalidCheckpoint:
    return InvalidCheckpoint(
        f"{file}: tensor {tensor!r} {what}; allowed: {allowed}.",
        param=file,
        tensor=tensor,
        value=what,
        allowed=allowed,
    )
