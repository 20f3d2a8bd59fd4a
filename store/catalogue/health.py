"""Insulin for simulated patients, and the treatment of sepsis as a table learnt from records.

For learning methods, not for patients: no figure from here says anything about a treatment.
"""

from typing import Any, Literal

from pydantic import Field

from store.catalogue.entry import Area, EnvironmentEntry, Kwargs, Suggestion, one_of, reals


class GlucoseKwargs(Kwargs):
    """Patients differ from seed to seed."""

    difficulty: Literal["easy", "medium", "hard"] = "easy"
    patient_type: Literal["adult", "adolescent", "child"] = "adult"


class BolusKwargs(GlucoseKwargs):
    fixed_basal_rate: float = Field(default=1.0, ge=0.0, le=5.0, description="Units an hour.")


AREA = Area(
    name="health", extra="health", licence="MIT", suggestion=Suggestion(total_steps=100_000)
)
GLUCOSE: dict[str, Any] = {"module": "glucosim", "limit_terminates": True}

ENTRIES: list[EnvironmentEntry] = [
    # A step is a minute.
    AREA.row("glucosim/BasalControl-v0", (4,), reals(1), 1440, GlucoseKwargs, **GLUCOSE),
    AREA.row("glucosim/BolusAdvisor-v0", (5,), reals(1), 1440, BolusKwargs, **GLUCOSE),
    AREA.row("glucosim/ClosedLoop-v0", (6,), reals(1), 2880, GlucoseKwargs, **GLUCOSE),
    AREA.row(
        "Sepsis/ICU-Sepsis-v2",
        (716,),
        one_of(25),
        500,
        masked=True,
        module="mrq_core.suites.icu_sepsis",
    ),
]
