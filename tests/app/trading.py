"""A policy that trades, made without training: it buys when it is out and sells when it is in."""

from pathlib import Path
from typing import Any

import numpy as np

from mrq_core.spaces import Box, Discrete, Tuple
from store.database import Database
from store.dataset_files import open_dataset_files
from store.datasets import add_dataset
from store.job_dataset import fact_of
from store.results import PolicyBundle
from store.settings import Settings
from store.unpacked import Upload
from tests.app.bundles import linear_bundle
from tests.app.driving import trained_job
from tests.prices import csv_of, rows

HISTORY, WIDTH = 8, 6
FRAME = Box((-1.0,) * WIDTH, (2.0,) * WIDTH, (WIDTH,))


def turning_bundle() -> PolicyBundle:
    """Logits of sell, hold, buy from the newest frame: its position, nothing, its open price."""
    weights = np.zeros((HISTORY * WIDTH, 3), np.float32)
    newest = (HISTORY - 1) * WIDTH
    weights[newest + WIDTH - 1, 0] = 5.0
    weights[newest, 2] = 1.0
    golden = np.random.default_rng(0).uniform(0, 1, (3, HISTORY * WIDTH)).astype(np.float32)
    return linear_bundle(
        Discrete(3),
        weights,
        golden,
        environment_id="mrq/Trading-v0",
        observation_space=Tuple((FRAME,) * HISTORY).to_json(),
        history=HISTORY,
        observation_kind="vector",
    )


def trading_job(database: Database, settings: Settings, folder: Path, **kwargs: Any) -> str:
    """Its policy is `turning:1`, its dataset `walk:1`."""
    path = folder / "prices.csv"
    path.write_bytes(csv_of(rows(600)))
    upload = Upload(path=path, name="walk", role="timeseries", mapped={}, dropped=[])
    dataset, _ = add_dataset(database, open_dataset_files(settings), settings, upload)
    environment = {
        "id": "mrq/Trading-v0",
        "kwargs": kwargs,
        "dataset_id": dataset.id,
        "dataset": fact_of(dataset).model_dump(mode="json"),
    }
    return trained_job(
        database, settings, turning_bundle(), name="turning", environment=environment
    )
