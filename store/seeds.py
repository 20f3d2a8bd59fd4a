"""A request that trains one spec with several seeds."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from store.spec import JobSpec, Seed
from store.spec_part import refused

MAX_SEEDS = 64


def _different(seeds: list[int]) -> list[int]:
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise ValueError(f"seeds={seeds} name {twice[0]} twice: each seed is one job")
    return seeds


class JobRequest(JobSpec):
    """`seed` for a job, `seeds` for a group of jobs that differ in nothing else."""

    seeds: Annotated[list[Seed], AfterValidator(_different)] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_SEEDS,
        description="Instead of `seed`. More than one: a group of jobs.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.seeds is not None and "seed" in self.model_fields_set:
            raise refused("seeds", f"seeds={self.seeds} and seed={self.seed}: give one of the two")
        return self

    @property
    def is_group(self) -> bool:
        return self.seeds is not None and len(self.seeds) > 1

    def specs(self) -> list[JobSpec]:
        """One for each seed. Those of a group have it in their names: each trains a policy, and a
        policy's name is its job's."""
        plain = self.model_dump(mode="json", exclude={"seeds"})
        if self.seeds is None:
            return [JobSpec.model_validate(plain)]
        return [
            JobSpec.model_validate({**plain, "seed": seed, "name": self._name_with(seed)})
            for seed in self.seeds
        ]

    def _name_with(self, seed: int) -> str:
        return name_with(self.resolved_name(), seed) if self.is_group else self.resolved_name()


def name_with(name: str, seed: int) -> str:
    return f"{name}-seed-{seed}"
