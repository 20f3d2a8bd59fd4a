"""The bell: a Celery message that carries a job's id and nothing else.

A lost, doubled or late message changes nothing but time, because the job's row is the truth.
"""

from typing import Any, Protocol

from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

QUEUE = "mrq.train"
TASK = "mrq.ring"


class DoorbellSilent(Exception):
    """The broker did not take the message; the reconciler rings again later."""


class Doorbell(Protocol):
    """So that the reconciler can be tested without a broker."""

    def ring(self, job_id: str) -> None: ...

    def waiting(self) -> int:
        """Bells that no worker has heard yet."""
        ...


def celery_settings(broker_url: str) -> dict[str, Any]:
    """Each with its reason; measured in docs/decisions/celery.md."""
    return {
        "broker_url": broker_url,
        # State lives in the database.
        "result_backend": None,
        "task_ignore_result": True,
        # JSON only: whoever reaches the broker must not be able to run code.
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        # Early ack: with late ack a job longer than visibility_timeout is run again while it runs.
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,  # a poison job is handled by the attempt counter
        "task_default_queue": QUEUE,
        # No acknowledgement at all: one that failed, since the broker died first, would count
        # against the prefetch for ever, and the worker would never ask for another bell.
        # kombu says it is typed, and its Queue is not.
        "task_queues": [Queue(QUEUE, no_ack=True)],  # type: ignore[no-untyped-call]
        "task_create_missing_queues": False,
        "task_publish_retry": False,  # the reconciler retries, and knows for how long
        # Spawn: a fork after CUDA or threads is a broken process.
        "worker_pool": "prefork",
        "worker_pool_start_method": "spawn",
        # Default 4: on a busy machine a spawned child needs longer to load its modules; it was
        # killed for that, and the next one too, for as long as the machine was busy.
        "worker_proc_alive_timeout": 120.0,
        "worker_concurrency": 1,  # one job at a time and device
        # A busy worker must not hold a message that an idle one could take.
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_max_tasks_per_child": 1,
        # Set on purpose: the default changes in 6.0, and True leaves messages stuck for an hour.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_enable_remote_control": False,  # a cancel goes through the database
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_connection_timeout": 4,
        "broker_transport_options": {
            "visibility_timeout": 3600,
            # Default 10 x 10: unacknowledged messages came back after 95 s, not the 5 s asked for.
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            # Default None: a frozen broker blocked a publish for more than 25 s.
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "retry_on_timeout": False,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "global_keyprefix": "mrq:",
        },
    }


def make_celery(broker_url: str) -> Celery:
    celery = Celery("mrq", set_as_current=False)
    celery.conf.update(celery_settings(broker_url))
    return celery


class CeleryDoorbell:
    def __init__(self, broker_url: str) -> None:
        self._celery = make_celery(broker_url)

    def ring(self, job_id: str) -> None:
        try:
            self._celery.send_task(TASK, args=[job_id], queue=QUEUE, retry=False)
        except (OperationalError, RedisError, OSError) as error:
            raise DoorbellSilent(str(error)) from error

    def waiting(self) -> int:
        try:
            with self._celery.connection_for_write() as connection:
                # Not `passive`: with a key prefix, kombu 5.7 then looks for the wrong key and finds
                # no queue. On Redis to declare one writes nothing.
                declared = connection.default_channel.queue_declare(queue=QUEUE)
                return int(declared.message_count)
        except (OperationalError, RedisError, OSError) as error:
            raise DoorbellSilent(str(error)) from error

    def close(self) -> None:
        self._celery.close()
