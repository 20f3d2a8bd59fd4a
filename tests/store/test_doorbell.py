"""Against a real Valkey. The timeout of a test is how "within seconds" turns red."""

import base64
import json
import os
import signal

import pytest
import redis

from benchmarks.servers import valkey_server
from store.doorbell import QUEUE, TASK, CeleryDoorbell, DoorbellSilent, celery_settings

JOB = "job_0123456789abcdef"


def test_a_message_carries_the_id_and_nothing_else(valkey_url: str) -> None:
    doorbell = CeleryDoorbell(valkey_url)
    doorbell.ring(JOB)
    doorbell.close()
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client:
        (raw,) = client.lrange(f"mrq:{QUEUE}", 0, -1)
    message = json.loads(raw)
    assert message["headers"]["task"] == TASK
    assert message["content-type"] == "application/json"
    arguments, keywords, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, keywords) == ([JOB], {})


def test_bells_that_nobody_heard_are_counted(valkey_url: str) -> None:
    doorbell = CeleryDoorbell(valkey_url)
    assert doorbell.waiting() == 0
    for _ in range(3):
        doorbell.ring(JOB)
    assert doorbell.waiting() == 3
    doorbell.close()


@pytest.mark.timeout(60)
def test_a_broker_that_is_down_is_silent_within_seconds() -> None:
    with valkey_server() as server:
        doorbell = CeleryDoorbell(server.url)
        doorbell.ring(JOB)
        server.stop(signal.SIGKILL)
        for ask in (lambda: doorbell.ring(JOB), doorbell.waiting):
            with pytest.raises(DoorbellSilent) as silence:
                ask()
            assert server.password not in str(silence.value)
        server.start()
        doorbell.ring(JOB)
        assert doorbell.waiting() == 1
        doorbell.close()


@pytest.mark.timeout(90)
def test_a_frozen_broker_is_silent_within_seconds() -> None:
    """Default settings blocked for more than 25 s, until it thawed."""
    with valkey_server() as server:
        doorbell = CeleryDoorbell(server.url)
        doorbell.ring(JOB)
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(DoorbellSilent):
                doorbell.ring(JOB)
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        doorbell.close()


def test_a_wrong_password_is_silence(valkey_url: str) -> None:
    doorbell = CeleryDoorbell(valkey_url.replace("redis://:", "redis://:not"))
    with pytest.raises(DoorbellSilent):
        doorbell.ring(JOB)
    doorbell.close()


def test_what_comes_over_the_broker_cannot_run_code() -> None:
    settings = celery_settings("redis://")
    assert settings["accept_content"] == settings["result_accept_content"] == ["json"]
    assert settings["task_serializer"] == "json"


def test_a_message_is_never_run_twice_by_the_broker() -> None:
    """Late acknowledgement gave 5 starts of one task that outlived its visibility timeout."""
    settings = celery_settings("redis://")
    assert settings["task_acks_late"] is False
    assert settings["worker_cancel_long_running_tasks_on_connection_loss"] is False
