"""`python -m worker.celery_app`: a Celery worker for one device."""

import logging
import os
import sys

from celery import Celery, signals

from store.database import Database
from store.doorbell import make_celery
from store.schema import require_current_schema
from store.settings import Settings
from worker.drain import DrainMark


def make_worker(settings: Settings) -> Celery:
    celery = make_celery(settings.broker_url.get_secret_value())
    celery.conf.update(include=["worker.tasks"])
    celery.set_current()
    celery.set_default()
    return celery


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings()
    database = Database(settings.database_url)
    require_current_schema(database)
    database.dispose()
    mark = DrainMark(settings.run_dir, os.getpid())
    mark.clear()

    def hand_back(**_: object) -> None:
        mark.set()

    signals.worker_shutting_down.connect(hand_back, weak=False)
    options = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=INFO"]
    try:
        make_worker(settings).worker_main(["worker", *options])
    finally:
        mark.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
