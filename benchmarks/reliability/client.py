"""A client as it should be: each job under a key of its own, sent again until it is answered."""

import queue
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2

from benchmarks.reliability.service import API_KEY

RETRY_SECONDS = 0.3
PATIENCE_SECONDS = 120.0


@dataclass
class Submission:
    key: str
    spec: str  # its name
    body: dict[str, Any]
    twice: bool  # sent again after the answer, as by a client that did not get it
    tries: int = 0
    job_ids: list[str] = field(default_factory=list)  # that were answered
    error: str | None = None


class Client:
    """Submits from a thread of its own, since the server may be down or the disk slow."""

    def __init__(self, url: str) -> None:
        self.submissions: list[Submission] = []
        self._waiting: queue.Queue[Submission | None] = queue.Queue()
        headers = {"Authorization": f"Bearer {API_KEY}"}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=3.0)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, submission: Submission) -> None:
        self.submissions.append(submission)
        self._waiting.put(submission)

    @property
    def unanswered(self) -> int:
        return sum(1 for each in self.submissions if not each.job_ids and each.error is None)

    def close(self) -> None:
        """After what was submitted is answered or given up."""
        self._waiting.put(None)
        self._thread.join()
        self._http.close()

    def _work(self) -> None:
        while (submission := self._waiting.get()) is not None:
            for _ in range(2 if submission.twice else 1):
                self._send(submission)

    def _send(self, submission: Submission) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            submission.tries += 1
            told = self._try(submission)
            if told is None:
                return
            if time.monotonic() > until:
                submission.error = told
                return
            time.sleep(RETRY_SECONDS)

    def _try(self, submission: Submission) -> str | None:
        """None when it was answered; else why to try again."""
        try:
            headers = {"Idempotency-Key": submission.key}
            response = self._http.post("/jobs", json=submission.body, headers=headers)
        except httpx2.TransportError as error:
            return repr(error)
        if response.status_code != 201:
            return f"{response.status_code} {response.text}"
        submission.job_ids.append(str(response.json()["id"]))
        return None
