"""With what a job begins."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from store.spec_part import Part, refused, shown

Reference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class InitFromSpec(Part):
    """Asked for by one of `checkpoint_id` and `job_id`; once resolved (`store.warm_start`) it has
    both, and the `sha256`."""

    checkpoint_id: Reference | None = Field(default=None, description="Of kind training.")
    job_id: Reference | None = Field(default=None, description="Instead: its newest one.")
    load: Literal["weights", "all"] = Field(
        default="weights",
        description="all: with the optimisers and the replay, so that it learns from step 1.",
    )
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="The checkpoint's: it follows from the rest.",
        json_schema_extra={"readOnly": True},
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        given = [name for name in ("checkpoint_id", "job_id") if getattr(self, name) is not None]
        if len(given) != (1 if self.sha256 is None else 2):
            told = " and ".join(f"{name}={shown(getattr(self, name))}" for name in given) or "none"
            text = f"init_from names {told}: give one of checkpoint_id and job_id"
            raise refused(given[0] if given else "checkpoint_id", f"{text}, and no sha256")
        return self
