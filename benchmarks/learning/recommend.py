"""`python -m benchmarks.learning.recommend`: films for users whom the agent never met.

Trains `mrq/Recommend-v0` on the users that are not held out, with preset `small` changed by
CHANGES, and lets the last policy recommend ten films to each held-out user. Beside it, for the same
users: films drawn at random, and the ten that most training users like. Writes
FOLDER/recommend.json and prints a table; the interval is a 95 % bootstrap over users, paired where
two policies are compared.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

import mrq_core.tasks  # noqa: F401  (registers it)
from benchmarks.provenance import commit, machine, versions
from mrq_core.config import PRESETS
from mrq_core.events import Evaluated
from mrq_core.run import TrainingRun
from mrq_core.tasks.ratings import Ratings, movielens
from mrq_core.tasks.recommend import RECOMMENDATIONS, Recommend
from mrq_core.training import train

EVALUATION_EVERY = 2_000
# What is shown today changes nothing in what the user likes tomorrow: rewards alone are worth
# learning. Before that, films drawn at random: cheap steps, and whoever has seen the answers of few
# users only learns them by heart.
CHANGES: Mapping[str, Any] = {
    "warmup_steps": 60_000,
    "discount": 0.1,
    "q_horizon": 1,
    "enc_horizon": 1,
    "lambda_reward": 1.0,
}
RESAMPLES = 10_000
Clicks = NDArray[np.float64]  # (U,), of each held-out user


def training_run(seed: int, steps: int, changes: Mapping[str, Any]) -> TrainingRun:
    return TrainingRun(
        environment_id="mrq/Recommend-v0",
        hyperparameters=dataclasses.replace(PRESETS["small"], **changes),
        total_steps=steps,
        seed=seed,
        evaluation_every=EVALUATION_EVERY,
        evaluation_episodes=1,
        checkpoint_every=steps,
    )


def learned(
    ratings: Ratings, seed: int, steps: int, changes: Mapping[str, Any]
) -> dict[int, Clicks]:
    """Clicks by step."""
    curve = {}
    for event in train(training_run(seed, steps, changes)):
        if isinstance(event, Evaluated):
            curve[event.step] = clicks_of_policy(ratings, event.export_policy().onnx)
            print(f"seed {seed} step {event.step}: {curve[event.step].mean():.3f}", flush=True)
    return curve


def clicks_of_policy(ratings: Ratings, onnx: bytes) -> Clicks:
    """All users at once, one recommendation after the other, by the exported graph."""
    users = ratings.users(held_out=True)
    tables = [Recommend("held_out", ratings) for _ in users]
    seen = [t.reset(options={"user": u}) for t, u in zip(tables, users, strict=True)]
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    clicks = np.zeros(len(users))
    for _ in range(RECOMMENDATIONS):
        observations = np.stack([observation for observation, _ in seen])
        legal = np.stack([info["action_mask"] for _, info in seen]).astype(bool)
        (logits,) = session.run(["policy"], {"observation": observations})
        films = np.where(legal, logits, -np.inf).argmax(axis=1)
        steps = [table.step(film) for table, film in zip(tables, films, strict=True)]
        clicks += [step[1] for step in steps]
        seen = [(step[0], step[4]) for step in steps]
    return clicks


def clicks_by_popularity(ratings: Ratings) -> Clicks:
    best = ratings.by_popularity()[:RECOMMENDATIONS]
    clicks: Clicks = ratings.liked[ratings.users(held_out=True)][:, best].sum(axis=1).astype(float)
    return clicks


def clicks_at_random(ratings: Ratings) -> Clicks:
    """Exact: what a user likes of all films, times what is shown of them."""
    clicks: Clicks = ratings.liked[ratings.users(held_out=True)].mean(axis=1) * RECOMMENDATIONS
    return clicks


def interval(values: Clicks) -> tuple[float, float]:
    random = np.random.default_rng(0)
    means = random.choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return round(float(low), 3), round(float(high), 3)


def summary(clicks: Clicks, popular: Clicks) -> dict[str, Any]:
    return {
        "clicks": round(float(clicks.mean()), 3),
        "interval": interval(clicks),
        "above_most_popular": round(float((clicks - popular).mean()), 3),
        "above_most_popular_interval": interval(clicks - popular),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=70_000)
    parser.add_argument(
        "--hyperparameters", type=json.loads, default={}, help="JSON; beside CHANGES"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    changes = {**CHANGES, **options.hyperparameters}
    ratings = movielens()
    popular = clicks_by_popularity(ratings)
    rows = {
        "random": summary(clicks_at_random(ratings), popular),
        "most popular": summary(popular, popular),
    }
    curves = {}
    for seed in options.seeds:
        curve = learned(ratings, seed, options.steps, changes)
        curves[seed] = {step: round(float(clicks.mean()), 3) for step, clicks in curve.items()}
        rows[f"MR.Q, seed {seed}"] = summary(curve[options.steps], popular)
    result = {
        "users": len(popular),
        "steps": options.steps,
        "hyperparameters": changes,
        "rows": rows,
        "curves": curves,
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
    }
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "recommend.json").write_text(json.dumps(result, indent=1) + "\n")
    for name, row in rows.items():
        print(
            f"{name:14} {row['clicks']:.3f} {row['interval']}", row["above_most_popular_interval"]
        )


if __name__ == "__main__":
    main()
