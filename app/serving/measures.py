"""What acting costs, counted for Prometheus: by policy and version, in its text format 0.0.4.

Counted on the event loop only, so plain numbers do; a policy's are made by the thread that loads
it. They outlive a policy's leaving the memory.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

# Seconds. A pass of the paper's size begins at 70 us.
BOUNDS = (
    *(50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3),
    *(10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1.0),
)
_BOUNDS_US = tuple(round(1e6 * bound) for bound in BOUNDS)
Samples = Sequence[tuple[str, float]]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    __slots__ = ("counts", "sum_us")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS_US) + 1)
        self.sum_us = 0

    def add(self, microseconds: int) -> None:
        self.counts[bisect_left(_BOUNDS_US, microseconds)] += 1
        self.sum_us += microseconds

    def lines(self, name: str, labels: str) -> Iterator[str]:
        below = 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            below += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {below}'
        yield f"{name}_sum{{{labels}}} {self.sum_us / 1e6}"
        yield f"{name}_count{{{labels}}} {below}"


class PolicyMeasures:
    def __init__(self) -> None:
        self.request, self.queue, self.compute = Histogram(), Histogram(), Histogram()
        self.codes: Counter[int] = Counter()  # of answers, by HTTP status
        self.observations = 0
        self.outside = 0  # of what was seen in training

    def passed(self, rows: int, compute_us: int, outside: int = 0) -> None:
        self.compute.add(compute_us)
        self.observations += rows
        self.outside += outside

    def answered(self, queue_us: int, total_us: int) -> None:
        self.codes[200] += 1
        self.queue.add(queue_us)
        self.request.add(total_us)


class Measures:
    def __init__(self) -> None:
        self._policies: dict[tuple[str, int], PolicyMeasures] = {}
        # Of requests that reached no policy.
        self.lost: Counter[int] = Counter()

    def of(self, name: str, version: int) -> PolicyMeasures:
        return self._policies.setdefault((name, version), PolicyMeasures())

    def text(self, pending: Mapping[tuple[str, int], int]) -> str:
        """`pending`: observations that wait, of each policy in memory."""
        return "\n".join([*self._lines(pending), ""])

    def _lines(self, pending: Mapping[tuple[str, int], int]) -> Iterator[str]:
        known = [(labels_of(*key), measures) for key, measures in sorted(self._policies.items())]
        codes = [*((labels, each.codes) for labels, each in known), (labels_of("", 0), self.lost)]
        answers = [
            (f'{labels},code="{code}"', count)
            for labels, counted in codes
            for code, count in sorted(counted.items())
        ]
        yield from family("mrq_act_requests_total", "counter", "Requests answered.", answers)
        observations = [(labels, each.observations) for labels, each in known]
        text = "Observations in forward passes."
        yield from family("mrq_act_observations_total", "counter", text, observations)
        outside = [(labels, each.outside) for labels, each in known]
        text = "Observations outside of what the policy saw in training."
        yield from family("mrq_act_outside_observations_total", "counter", text, outside)
        waiting = [(labels_of(*key), count) for key, count in sorted(pending.items())]
        text = "Observations that wait for a pass; one line for each policy in memory."
        yield from family("mrq_act_pending", "gauge", text, waiting)
        for part, text in (
            ("request", "From the request's head to its answer."),
            ("queue", "Of it, waiting for a pass."),
            ("compute", "Forward passes; their number is that of batches."),
        ):
            name = f"mrq_act_{part}_duration_seconds"
            yield from head(name, "histogram", text)
            for labels, measures in known:
                yield from getattr(measures, part).lines(name, labels)


def gauge(name: str, text: str, counts: Mapping[tuple[str, int], int]) -> Iterator[str]:
    """Of a policy's name and version."""
    samples = [(labels_of(*key), count) for key, count in sorted(counts.items())]
    yield from family(name, "gauge", text, samples)


def family(name: str, kind: str, text: str, samples: Samples) -> Iterator[str]:
    """`samples`: labels and value."""
    yield from head(name, kind, text)
    for labels, value in samples:
        yield f"{name}{{{labels}}} {value}"


def head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def labels_of(policy: str, version: int | None = None) -> str:
    """Version 0: of a request that reached none."""
    escaped = policy.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    if version is None:
        return f'policy="{escaped}"'
    return f'policy="{escaped}",version="{version or ""}"'
