from datetime import UTC, datetime

import pytest

from app.pages import formats

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),  # noqa: RUF001
        (0.0, "0"),
        (-0.0001, "0"),
        (0.12345, "0.123"),
        (1.5, "1.50"),
        (-85.55, "−85.5"),  # noqa: RUF001
        (999.94, "999.9"),
        (12345.6, "12,346"),
        ("NaN", "NaN"),
        (float("inf"), "inf"),
    ],
)
def test_a_number_has_as_many_digits_as_its_size_needs(
    value: float | str | None, text: str
) -> None:
    assert formats.number(value) == text


@pytest.mark.parametrize(
    ("fraction", "text"), [(0.0, "0%"), (0.429, "42%"), (0.9999, "99%"), (1.0, "100%")]
)
def test_a_hundred_percent_means_nothing_is_left(fraction: float, text: str) -> None:
    assert formats.percent(fraction) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (272, "4 min 32 s"),
        (754, "12 min"),
        (7_500, "2 h 5 min"),
        (190_000, "2 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("then", "text"),
    [
        ("2026-11-23T12:00:05.000Z", "now"),
        ("2026-11-23T11:59:30.000Z", "30 s ago"),
        ("2026-11-23T11:38:00.000Z", "22 min ago"),
        ("2026-11-22T13:00:00.000Z", "23 h ago"),
        ("2026-11-20T12:00:00.000Z", "3 d ago"),
    ],
)
def test_ages(then: str, text: str) -> None:
    assert formats.age(then, NOW) == text


def test_elapsed_time_ends_with_the_job() -> None:
    start = "2026-11-23T11:59:00.000Z"
    assert formats.elapsed(start, None, NOW) == "1 min 0 s"
    assert formats.elapsed(start, "2026-11-23T11:59:20.000Z", NOW) == "20 s"


@pytest.mark.parametrize(
    ("position", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (21, "21st"), (112, "112th")],
)
def test_ordinals(position: int, text: str) -> None:
    assert formats.ordinal(position) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(21, "21 B"), (4_200, "4.2 kB"), (4_200_000, "4.2 MB"), (3 * 10**9, "3.0 GB")],
)
def test_sizes(size: int, text: str) -> None:
    assert formats.size(size) == text
