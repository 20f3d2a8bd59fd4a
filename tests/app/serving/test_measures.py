"""`GET /metrics`, as a scraper reads it."""

import re

import pytest
from starlette.testclient import TestClient

from app.serving.measures import BOUNDS, Histogram, Measures
from store.database import Database
from store.settings import Settings
from tests.app.driving import trained_job

ACT = {"observations": [[0, 0, 0], [1, 0, 0]]}
SAMPLE = re.compile(r"([a-z_]+)\{([^}]*)\} ([0-9.e-]+)")


def samples(text: str) -> dict[tuple[str, str], float]:
    """Every line is a comment or a sample."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    matched = [SAMPLE.fullmatch(line) for line in lines]
    assert all(matched), [line for line, found in zip(lines, matched, strict=True) if not found]
    return {(m[1], m[2]): float(m[3]) for m in matched if m}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_counts_what_was_asked(
    client: TestClient, stranger: TestClient, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, name="swing")
    for body, reference, status in (
        (ACT, "swing", 200),
        (ACT, "swing:1", 200),
        ({"observation": [1]}, "swing", 422),
        (ACT, "none", 404),
    ):
        assert client.post(f"/policies/{reference}/act", json=body).status_code == status
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = samples(answer.text)
    swing = 'policy="swing",version="1"'
    assert found["mrq_act_requests_total", f'{swing},code="200"'] == 2
    assert found["mrq_act_requests_total", f'{swing},code="422"'] == 1
    assert found["mrq_act_requests_total", 'policy="",version="",code="404"'] == 1
    assert found["mrq_act_observations_total", swing] == 4
    assert found["mrq_act_pending", swing] == 0
    assert found["mrq_policy_loaded", swing] == 1
    assert 0 < found["mrq_policy_load_seconds", swing] < 60
    for part in ("request", "queue", "compute"):
        name = f"mrq_act_{part}_duration_seconds"
        assert found[f"{name}_count", swing] == 2
        assert found[f"{name}_bucket", f'{swing},le="+Inf"'] == 2
    total = found["mrq_act_request_duration_seconds_sum", swing]
    assert 0 < found["mrq_act_compute_duration_seconds_sum", swing] <= total
    assert stranger.get("/metrics").status_code == 401


def test_buckets_are_cumulative_and_hold_their_bound() -> None:
    histogram = Histogram()
    for microseconds in (50, 51, 2_000_000):
        histogram.add(microseconds)
    found = samples("\n".join(histogram.lines("x", 'a="b"')))
    assert BOUNDS[:2] == (50e-6, 100e-6)
    assert [found["x_bucket", f'a="b",le="{b}"'] for b in ("5e-05", "0.0001", "1.0")] == [1, 2, 2]
    assert found["x_bucket", 'a="b",le="+Inf"'] == found["x_count", 'a="b"'] == 3
    assert found["x_sum", 'a="b"'] == pytest.approx(2.000101)


def test_a_name_cannot_break_a_line() -> None:
    measures = Measures()
    measures.of('a"\n\\', 1).passed(3, 70)
    assert r'mrq_act_observations_total{policy="a\"\n\\",version="1"} 3' in measures.text({})
