"""What the change of versions costs and gives, counted for Prometheus as `app.serving.measures`."""

from collections import Counter
from collections.abc import Collection, Iterator

from app.serving.measures import Samples, family, labels_of


class ShadowCounts:
    def __init__(self) -> None:
        self.requests = 0
        self.disagreements = 0
        self.difference = 0.0
        self.dropped: Counter[str] = Counter()  # by reason

    def compared(self, difference: float, *, differs: bool) -> None:
        self.requests += 1
        self.disagreements += differs
        self.difference += difference


class ShadowMeasures:
    def __init__(self) -> None:
        self._counts: dict[tuple[str, int, int], ShadowCounts] = {}

    def of(self, name: str, version: int, shadow: int) -> ShadowCounts:
        """`version`: the one that answered."""
        return self._counts.setdefault((name, version, shadow), ShadowCounts())

    def lines(self) -> Iterator[str]:
        known = [
            (f'{labels_of(name, version)},shadow="{shadow}"', counts)
            for (name, version, shadow), counts in sorted(self._counts.items())
        ]
        for what, text, samples in (
            ("requests", "Compared.", [(at, each.requests) for at, each in known]),
            (
                "disagreement",
                "Of them, those with another action.",
                [(at, each.disagreements) for at, each in known],
            ),
            (
                "difference",
                "Sum of the largest difference of each, in halves of an action's range.",
                [(at, each.difference) for at, each in known],
            ),
            (
                "dropped",
                "Not compared.",
                [
                    (f'{at},reason="{reason}"', count)
                    for at, each in known
                    for reason, count in sorted(each.dropped.items())
                ],
            ),
        ):
            yield from family(f"mrq_shadow_{what}_total", "counter", text, samples)


class SwapMeasures:
    def __init__(self) -> None:
        self.swaps: Counter[tuple[str, str]] = Counter()  # by policy and result

    def count(self, reference: str, well: bool) -> None:
        name = reference.partition("@")[0]
        self.swaps[name, "ok" if well else "failed"] += 1

    def lines(self, loaded: Collection[tuple[str, int, float]]) -> Iterator[str]:
        """`loaded`: name, version and seconds that it took."""
        swaps: Samples = [
            (f'{labels_of(name)},result="{result}"', count)
            for (name, result), count in sorted(self.swaps.items())
        ]
        text = "Names and aliases that came to mean another version, or should have."
        yield from family("mrq_policy_swaps_total", "counter", text, swaps)
        known = [(labels_of(name, version), seconds) for name, version, seconds in sorted(loaded)]
        text = "1 for each policy in memory."
        ones: Samples = [(labels, 1) for labels, _ in known]
        yield from family("mrq_policy_loaded", "gauge", text, ones)
        text = "How long it took to load, to check and to warm."
        yield from family("mrq_policy_load_seconds", "gauge", text, known)
