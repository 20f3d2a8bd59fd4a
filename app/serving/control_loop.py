"""What a stream answers to each frame, in order; knows no socket.

The version is pinned for an episode, unless the client follows the reference.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from app.errors import problem_of
from app.refusals import ActRefused
from app.serving.action_log import ActionLog, logged, require_loggable
from app.serving.answers import choose_actions, warnings_of
from app.serving.details import Chosen
from app.serving.feedback_log import FeedbackLog
from app.serving.history import Episode, Step
from app.serving.masks import read_masks
from app.serving.policies import LivePolicy, LoadedPolicies
from app.serving.requests import MAX_SEED, ActRequest
from app.serving.stream_answers import Reply, Timing, metadata, refusal
from app.serving.stream_frames import FrameReader, FrameRefused, Outcome, ResetFrame, StepFrame
from app.serving.stream_wire import Wire
from store.action_log import Feedback
from store.errors import NotFound

logger = logging.getLogger(__name__)

_NOTHING: Mapping[str, Any] = {}
_JOINED = ("joined", "duplicate")


class ControlLoop:
    def __init__(
        self,
        policies: LoadedPolicies,
        actions: ActionLog,
        feedback: FeedbackLog,
        reference: str,
        policy: LivePolicy,
        wire: Wire,
        request_id: str,
        is_alone: Callable[[], bool],
    ) -> None:
        """`reference` is what the client has asked for, and `policy` what it means now.
        `is_alone`: whether there is no other loop, with which a pass could be shared."""
        self.policy = policy
        self.id = f"str_{secrets.token_hex(12)}"
        self._policies = policies
        self._actions = actions
        self._feedback = feedback
        self._reference = reference
        self._wire = wire
        self._request_id = request_id
        self._is_alone = is_alone
        self._asking: asyncio.Task[None] | None = None
        self._gone: NotFound | None = None
        self._reader = FrameReader(policy.actor.frames, wire)
        self._episode = Episode()
        self._follow = False
        self._seed: int | None = None
        self._last_logged: tuple[str, int] | None = None  # episode and t

    def metadata(self, more: Mapping[str, Any] = _NOTHING) -> bytes:
        """Of the episode that begins."""
        episode = self._name_of(self._episode.number + 1)
        return self._wire.write(metadata(self.policy, episode, self._request_id, more))

    async def answer(self, data: Any) -> bytes:
        """Of the text or the bytes of a frame."""
        begun = time.perf_counter_ns()
        t: int | None = None
        try:
            frame = self._reader.read(data)
            if type(frame) is ResetFrame:
                return await self._reset(frame)
            assert type(frame) is StepFrame
            t = frame.t
            return await self._step(frame, begun)
        except FrameRefused as refused:
            return self._refusal(refused.t, refused.why)
        except Exception as error:
            return self._refusal(t, error)

    async def _step(self, frame: StepFrame, begun: int) -> bytes:
        if self._follow:
            await self._catch_up()
        self._require_kept()
        policy, asked = self.policy, frame.asked
        actor = policy.actor
        step = self._episode.step(actor.frames, frame.t, False, frame.row)
        told = None if frame.outcome is None else self._told(frame.outcome)
        masks = None if asked.mask is None else read_masks(actor.codec, asked.mask, None)
        if asked.log:
            require_loggable(policy, asked, as_json=True)
        if asked.mode == "sample" and asked.seed is None and self._seed is not None:
            asked.seed = (self._seed + frame.t) % (MAX_SEED + 1)
        deadline_ms = frame.deadline_ms
        until = None if deadline_ms is None else begun + int(deadline_ms * 1e6)
        forwarded = policy.batcher.at_once(step.rows, until) if self._is_alone() else None
        if forwarded is None:
            forwarded = await policy.batcher.submit(step.rows, until)
        actions, drawn = choose_actions(actor, asked, step.rows, masks, forwarded)
        more = _NOTHING
        if asked.log or told is not None:
            chosen = Chosen(forwarded.outputs, actions, drawn, masks)
            more = await self._written(asked, step, chosen, told)
        self._episode.advance(step)
        self._last_logged = (asked.episode or "", frame.t) if asked.log else None
        warnings = warnings_of(policy, forwarded, is_batch=False)
        total_us = (time.perf_counter_ns() - begun) // 1000
        policy.measures.answered(forwarded.queue_us, total_us)
        timing = Timing(forwarded.queue_us, forwarded.compute_us, total_us)
        action = actions[0].tolist()
        return self._wire.write(
            Reply(frame.t, action, policy.version, timing, warnings=warnings, **more)
        )

    def _told(self, outcome: Outcome) -> Feedback | None:
        """None if the action before was not logged: then nobody keeps its reward."""
        if self._episode.next_t == 0:
            text = "There is no action before whose reward this could be: an episode begins."
            raise ActRefused("outcome_invalid", text, param="reward")
        if self._last_logged is None:
            return None
        episode, t = self._last_logged
        return Feedback(
            action_id=None,
            episode=episode,
            t=t,
            reward=outcome.reward,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
        )

    async def _written(
        self, asked: ActRequest, step: Step, chosen: Chosen, told: Feedback | None
    ) -> dict[str, Any]:
        """Both are committed before the answer leaves. The reward first: said again after a failure
        it is a duplicate, while the action's place would be taken."""
        more = {} if told is None else await self._given(told)
        if asked.log:
            asked.episode, asked.t = self._name_of(step.number), step.t
            more |= await logged(self._actions, self.policy, asked, step.rows, chosen)
        return more

    async def _given(self, told: Feedback) -> dict[str, Any]:
        joined = await self._feedback.give(self.policy.name, told)
        return {} if joined in _JOINED else {"feedback": joined}

    async def _reset(self, frame: ResetFrame) -> bytes:
        told = None if frame.outcome is None else self._told(frame.outcome)
        reference = self._reference
        if frame.version is not None:
            reference = f"{self.policy.name}:{frame.version}"
        policy = await self._policies.acting(reference)
        more = {} if told is None else await self._given(told)
        self._take(policy)
        self._gone = None
        self._follow, self._seed = frame.follow, frame.seed
        self._episode.restart()
        self._last_logged = None
        return self.metadata(more)

    async def _catch_up(self) -> None:
        """The newest meaning acts on, if it sees the same frames and acts in the same space."""
        newest = self._policies.at_hand(self._reference)
        if self._is_of_traffic():
            return
        if newest is None:
            newest = await self._policies.acting(self._reference)
        if _alike(newest, self.policy):
            self._take(newest)

    def _is_of_traffic(self) -> bool:
        """Traffic is divided by episodes: a draw at each frame would mix versions in one."""
        split = self._policies.traffic.get(self._reference)
        return split is not None and self.policy.id in split.routes

    def _require_kept(self) -> None:
        """Now and then it is asked whether the policy still exists, beside the frames: a slow
        database is no reason to be late."""
        if self._gone is not None:
            raise self._gone
        if self._policies.at_hand(self.policy.id) is None and self._asking is None:
            self._asking = asyncio.create_task(self._ask(self.policy.id))

    async def _ask(self, policy_id: str) -> None:
        try:
            policy = await self._policies.get(policy_id)
            if policy.id == self.policy.id:  # it may have left the memory and come again
                self._take(policy)
        except NotFound as gone:
            if policy_id == self.policy.id:
                self._gone = gone
        except Exception:
            logger.warning("nothing is known of policy %s now", policy_id)
        finally:
            self._asking = None

    def _take(self, policy: LivePolicy) -> None:
        if policy.id != self.policy.id:
            self._gone = None  # it was said of the one before
        if policy.actor.frames is not self.policy.actor.frames:
            self._reader = FrameReader(policy.actor.frames, self._wire)
        self.policy = policy

    def _name_of(self, number: int) -> str:
        return f"{self.id}:{number}"

    def _refusal(self, t: int | None, error: Exception) -> bytes:
        problem = problem_of(error)
        if problem.status == 500:
            logger.error("a frame of %s failed", self._request_id, exc_info=error)
        self.policy.measures.codes[problem.status] += 1
        return self._wire.write(refusal(t, error, problem))


def _alike(one: LivePolicy, other: LivePolicy) -> bool:
    """Whether a client of one can go on with the other, in the middle of an episode."""
    a, b = one.actor, other.actor
    return a.frames.digest == b.frames.digest and a.action_space == b.action_space
