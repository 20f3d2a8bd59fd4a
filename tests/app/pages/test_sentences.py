from typing import Any

import pytest

from app.pages.sentences import FIDELITIES, REASONS, curve_summary, event_sentence
from store.states import Fidelity, Reason
from store.tables import Evaluation, Event


@pytest.mark.parametrize(
    ("type", "data", "sentence"),
    [
        ("status", {"status": "queued"}, "Submitted."),
        (
            "status",
            {"status": "queued", "reason": "worker_lost", "message": "gone"},
            "Back in the queue: the worker was lost.",
        ),
        (
            "status",
            {"status": "running", "attempt": 2, "worker": "gpu-0"},
            "Attempt 2 taken by worker gpu-0.",
        ),
        (
            "status",
            {"status": "failed", "reason": "non_finite", "message": "loss/value is NaN"},
            "Failed: a value became NaN or infinite. loss/value is NaN",
        ),
        ("status", {"status": "cancelled", "reason": "cancelled_by_user"}, "Cancelled."),
        (
            "attempt",
            {"attempt": 1, "start_step": 0, "resumed_from": None},
            "Training started.",
        ),
        (
            "attempt",
            {"attempt": 2, "start_step": 4000, "resumed_from": "ckpt_1"},
            "Training resumed from the checkpoint at step 4,000.",
        ),
        (
            "attempt",
            {"attempt": 1, "start_step": 0, "resumed_from": "ckpt_1", "job_id": "job_2"},
            "Training began with ckpt_1 of job_2.",
        ),
        (
            "evaluation",
            {"step": 500, "return_mean": -129.04, "episodes": 10, "best": True},
            "Evaluated at step 500: mean return −129.0 over 10 episodes. Best so far.",  # noqa: RUF001
        ),
        (
            "evaluation",
            {"step": 500, "return_mean": 2.0, "episodes": 1, "best": False},
            "Evaluated at step 500: mean return 2.00 over 1 episode.",
        ),
        (
            "evaluation",
            {"step": 500, "return_mean": 2.0, "episodes": 15, "best": False, "estimated": True},
            "Evaluated at step 500: estimated return 2.00 by 15 logged episodes.",
        ),
        ("checkpoint", {"step": 2000}, "Training checkpoint saved at step 2,000."),
        ("policy", {"name": "walker", "version": 3}, "Checkpoint promoted to walker:3."),
        ("request", {"action": "cancel"}, "Cancellation requested."),
        ("request", {"action": "pause"}, "Pause requested."),
        ("request", {"action": "resume"}, "Pause withdrawn."),
        (
            "extended",
            {"total_steps": 20_000, "target_return": None},
            "Extended: total_steps 20,000, target_return taken away.",
        ),
        ("status", {"status": "paused", "reason": "paused_by_user"}, "Paused."),
        ("warning", {"message": "slow disk"}, "Warning: slow disk"),
        ("of_a_later_release", {}, "Of a later release."),
    ],
)
def test_events_are_told_in_sentences(type: str, data: dict[str, Any], sentence: str) -> None:
    assert event_sentence(Event(type=type, data=data)) == sentence


def test_every_reason_has_words() -> None:
    assert set(REASONS) == {reason.value for reason in Reason}
    assert set(FIDELITIES) == {*Fidelity}


def _evaluation(step: int, *returns: float) -> Evaluation:
    return Evaluation(step=step, returns=list(returns), return_mean=sum(returns) / len(returns))


def test_the_summary_says_what_the_curve_shows() -> None:
    evaluations = [_evaluation(500, 10, 20), _evaluation(1000, 50, 70), _evaluation(1500, 40, 50)]
    assert curve_summary(evaluations) == (
        "3 evaluations. The latest, at step 1,500: mean return 45.0 over 2 episodes "
        "(40.0 to 50.0). Best: 60.0 at step 1,000. The first, at step 500: 15.0."
    )
    assert curve_summary([]) == "No evaluation yet."


def test_the_summary_of_a_policy_from_a_log_says_who_judged() -> None:
    evaluation = _evaluation(500, 10)
    evaluation.estimate = {"fitted": {"value": 10.0, "low": 7.0, "high": 12.0}, "episodes": 60}
    assert curve_summary([evaluation]) == (
        "1 evaluation. The latest, at step 500: estimated discounted return 10.0 by 60 logged "
        "episodes (7.00 to 12.0)."
    )
