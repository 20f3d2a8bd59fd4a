"""The job spec: what `POST /jobs` takes, validated, with every default filled in.

Unknown keys, wrong types and values out of bounds are pydantic errors whose `loc` is the path in
the request body.
"""

import hashlib
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from mrq_core.observations import ObservationForm
from store.algorithm_spec import AlgorithmSpec
from store.baselines import what_is_wrong_with
from store.catalogue import CATALOGUE, EnvironmentEntry
from store.dataset_fact import DatasetFact, what_is_wrong
from store.init_from_spec import InitFromSpec
from store.offline import refuse_misfits
from store.spec_part import Part, refused, shown

ID_PREFIXES = ("pol_", "job_", "ckpt_", "grp_")


def _not_an_id(value: str) -> str:
    if value.startswith(ID_PREFIXES):
        raise ValueError(f"{value!r} must not begin with {', '.join(ID_PREFIXES)}: ids begin so")
    return value


def _whole(value: object) -> object:
    """1e18 is an integer to whoever writes it: the bound, not the type, is what refuses it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
    AfterValidator(_not_an_id),
]
LABEL_KEY = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=LABEL_KEY)]
# No control characters: they deceive whoever reads a list, and PostgreSQL stores no NUL.
LabelValue = Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
Labels = dict[LabelKey, LabelValue]
Priority = Annotated[
    int,
    Field(ge=-100, le=100, description="Higher ones are trained first; equal ones in turn."),
    BeforeValidator(_whole),
]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Steps = Annotated[int, Field(ge=1, le=100_000_000), BeforeValidator(_whole)]

# More evaluations or checkpoints than this would cost more than the training they look at.
MAX_MARKS = 2_000


def default_name(environment_id: str, algorithm: str = "mrq") -> str:
    """Some ids have a namespace, and a name takes no slash."""
    return f"{environment_id.lower().replace('/', '-')}-{algorithm}"


def default_every_steps(part: str, total_steps: int) -> int:
    """Of evaluations and checkpoints."""
    share, most = {"evaluation": (20, 5_000), "checkpointing": (10, 10_000)}[part]
    return max(min(most, max(1, total_steps // share)), -(-total_steps // MAX_MARKS))


def log_every_steps(total_steps: int) -> int:
    """Steps between two reports of metrics: a curve is drawn from a thousand points at most, so no
    more are kept."""
    return max(25, total_steps // 1_000)


class ObservationFact(Part):
    """`shape` is the network's input, history included: [D], or [C, H, W] for pixels."""

    kind: Literal["vector", "pixels"]
    shape: list[int]


class EnvironmentSpec(Part):
    """`max_episode_steps`, `history` and `observation` are never null once resolved; `dataset` is
    not where there is a `dataset_id`, and `observation` follows from it: see `store.job_dataset`.
    """

    id: str = Field(max_length=128)
    kwargs: dict[str, Any] = Field(default_factory=dict, max_length=32)
    max_episode_steps: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Agent steps. null: the environment's own."
    )
    action_repeat: int = Field(
        default=1, ge=1, le=64, description="Steps of the environment in one of the agent."
    )
    history: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="Frames that make one input. null: 1 for vectors, 4 for pixels.",
    )
    limit_terminates: bool | None = Field(
        default=None,
        description="The environment reports its own time limit as a termination. null: as the "
        "catalogue says of it.",
    )
    observation: ObservationFact | None = Field(
        default=None,
        description="How observations reach the network: it follows from the rest.",
        json_schema_extra={"readOnly": True},
    )
    dataset_id: str | None = Field(
        default=None,
        max_length=160,
        description="`ds_...`, `name` (its newest version) or `name:3`, for an environment that "
        "needs one.",
    )
    dataset: DatasetFact | None = Field(
        default=None,
        description="What the dataset is: it follows from its id.",
        json_schema_extra={"readOnly": True},
    )

    @field_validator("id")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in CATALOGUE:
            near = get_close_matches(value, CATALOGUE, n=5, cutoff=0.0)
            raise ValueError(
                f"{value!r} is not an environment of this service; allowed: {', '.join(near)}, and "
                f"others of the {len(CATALOGUE)} of GET /environments"
            )
        return value

    @model_validator(mode="after")
    def _fill_in_kwargs(self) -> Self:
        try:
            kwargs = self.entry.kwargs.model_validate(self.kwargs)
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(["kwargs", *map(str, first["loc"])])
            allowed = ", ".join(self.entry.kwargs.model_fields) or "none"
            value = f"{path}={shown(first['input'])}: {first['msg']}"
            raise refused(path, f"{value}; kwargs of {self.id}: {allowed}") from None
        filled = {key: value for key, value in kwargs.model_dump().items() if value is not None}
        object.__setattr__(self, "kwargs", filled)  # frozen for everyone else
        return self

    @model_validator(mode="after")
    def _check_dataset(self) -> Self:
        wrong = what_is_wrong(
            self.id, self.entry.dataset_role, self.dataset_id, self.dataset, self.kwargs
        )
        if wrong is not None:
            raise refused(*wrong)
        return self

    @model_validator(mode="after")
    def _decide_on_each_row(self) -> Self:
        """As a backtest does, which walks through the table without the agent's environment."""
        if self.entry.dataset_role == "timeseries" and self.action_repeat != 1:
            raise refused(
                "action_repeat",
                f"action_repeat={self.action_repeat}: in {self.id} a decision is for one row; "
                "allowed: 1",
            )
        return self

    @model_validator(mode="after")
    def _resolve(self) -> Self:
        if self.entry.dataset_role and self.dataset is None:
            return self  # to be resolved once its dataset is known
        form = self.form
        fact = ObservationFact(kind=form.kind, shape=list(form.input_shape))
        if self.observation is not None and self.observation != fact:
            raise refused(
                "observation",
                f"observation={shown(self.observation.model_dump())} is not how {self.id} with "
                f"history={form.history} reaches the network: {fact.model_dump()}; leave it out",
            )
        resolved = {
            "observation": fact,
            "history": form.history,
            "max_episode_steps": self.max_episode_steps or self._own_limit(),
            "limit_terminates": self.entry.limit_terminates
            if self.limit_terminates is None
            else self.limit_terminates,
        }
        for key, value in resolved.items():
            object.__setattr__(self, key, value)  # frozen for everyone else
        return self

    def _own_limit(self) -> int:
        """The environment's, which counts its own steps. Not beyond it, so rounded down."""
        own = self.entry.max_episode_steps
        if self.action_repeat > own:
            raise refused(
                "action_repeat",
                f"action_repeat={self.action_repeat} is beyond the {own} steps that an episode of "
                f"{self.id} has by its own limit; allowed: {own} at most, or another "
                "max_episode_steps",
            )
        return own // self.action_repeat

    def warnings(self) -> list[str]:
        limit, own = self.max_episode_steps, self.entry.max_episode_steps
        assert limit is not None, "it is resolved"
        if limit * self.action_repeat <= own:
            return []
        return [
            f"environment.max_episode_steps={limit} with action_repeat={self.action_repeat} are "
            f"{limit * self.action_repeat} steps of {self.id}; its own limit is {own}. Leave "
            "max_episode_steps out for that one."
        ]

    @property
    def entry(self) -> EnvironmentEntry:
        """As its dataset makes it, once that is known."""
        entry = CATALOGUE[self.id]
        return entry if self.dataset is None else self.dataset.fitted(entry)

    @property
    def form(self) -> ObservationForm:
        if self.dataset is not None:
            return self.dataset.form(self.history)
        return self.entry.form(self.history)


Seconds = Annotated[float, Field(gt=0, le=366 * 86_400)]


class BudgetSpec(Part):
    """Whichever is used up first ends the job well."""

    total_steps: Steps = Field(description="Agent steps, after action repeat.")
    max_episodes: Steps | None = None
    max_seconds: Seconds | None = Field(
        default=None, description="Of training, in all attempts; neither waiting nor paused."
    )


class EarlyStoppingSpec(Part):
    target_return: float | None = Field(
        default=None, description="The first evaluation with this mean or more ends the job well."
    )


class LimitsSpec(Part):
    """What a job must not take. It fails, and keeps its checkpoints."""

    max_runtime_seconds: Seconds | None = Field(
        default=None, description="Of training, in all attempts since it was last retried."
    )
    no_progress_seconds: Seconds | None = Field(
        default=None,
        ge=30,  # a trainer that starts is silent for some seconds
        description="Of silence, before a trainer hangs. null: the service's own.",
    )


class EvaluationSpec(Part):
    every_steps: Steps | None = None
    episodes: int = Field(default=10, ge=1, le=100)
    action_mode: Literal["deterministic", "sample"] = "deterministic"
    epsilon: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of actions drawn uniformly from the legal ones. null: as the "
        "environment's benchmark does, else 0.",
    )


class CheckpointingSpec(Part):
    every_steps: Steps | None = None
    keep: int = Field(default=2, ge=1, le=100, description="Latest ones kept beside the best.")
    ttl_seconds: float | None = Field(
        default=None,
        ge=0,
        le=3_660 * 86_400,
        description="How long after its end a job keeps those for resuming. null: the service's "
        "own time; 0: for ever.",
    )


class JobSpec(Part):
    """`every_steps` and `epsilon` are never null once resolved."""

    name: Name | None = None
    labels: Labels = Field(default_factory=dict, max_length=16)
    priority: Priority = 0
    environment: EnvironmentSpec
    algorithm: AlgorithmSpec = Field(default_factory=AlgorithmSpec)
    budget: BudgetSpec
    evaluation: EvaluationSpec = Field(default_factory=EvaluationSpec)
    checkpointing: CheckpointingSpec = Field(default_factory=CheckpointingSpec)
    early_stopping: EarlyStoppingSpec = Field(default_factory=EarlyStoppingSpec)
    limits: LimitsSpec = Field(default_factory=LimitsSpec)
    init_from: InitFromSpec | None = Field(
        default=None, description="What the job begins with. null: with nothing."
    )
    seed: Seed = 0

    @model_validator(mode="after")
    def _resolve(self) -> Self:
        evaluation = self.evaluation.model_copy(
            update={"every_steps": self._marks("evaluation"), "epsilon": self._epsilon()}
        )
        checkpointing = self.checkpointing.model_copy(
            update={"every_steps": self._marks("checkpointing")}
        )
        resolved = {
            "name": self.name or default_name(self.environment.id, self.algorithm.name),
            "evaluation": evaluation,
            "checkpointing": checkpointing,
        }
        for key, value in resolved.items():
            object.__setattr__(self, key, value)  # frozen for everyone else
        refuse_misfits(self)
        return self

    def _epsilon(self) -> float:
        asked, entry = self.evaluation.epsilon, self.environment.entry
        epsilon = entry.evaluation_epsilon if asked is None else asked
        if epsilon > 0 and entry.action_kind == "continuous":
            raise refused(
                "evaluation.epsilon",
                f"evaluation.epsilon={epsilon}: actions of {entry.id} are continuous; allowed: 0",
            )
        return epsilon

    @model_validator(mode="after")
    def _refuse_what_cannot_learn_there(self) -> Self:
        place, begins = self.environment, self.init_from is not None
        if wrong := what_is_wrong_with(self.algorithm.name, place.entry, place.form, begins=begins):
            raise refused(*wrong)
        return self

    def _marks(self, part: str) -> int:
        """Steps between two evaluations or checkpoints, refused when they would be too many."""
        total = self.budget.total_steps
        every: int | None = getattr(self, part).every_steps
        if every is None:
            return default_every_steps(part, total)
        if total / every > MAX_MARKS:
            raise refused(
                f"{part}.every_steps",
                f"{part}.every_steps={every} gives {total // every} of them in {total} steps; "
                f"allowed: {MAX_MARKS}, so at least {-(-total // MAX_MARKS)} steps",
            )
        return every

    def warnings(self) -> list[str]:
        """What is allowed and hardly meant."""
        return [*self.environment.warnings(), *self._warm_up_warnings()]

    def _warm_up_warnings(self) -> list[str]:
        warmup = self.algorithm.hyperparameters.warmup_steps
        total = self.budget.total_steps
        if total > warmup or self.algorithm.mode == "offline":
            return []
        return [
            f"budget.total_steps={total} end within the {warmup} random steps of the warm-up "
            "(algorithm.hyperparameters.warmup_steps): nothing will be learnt. More steps, the "
            "preset small or a shorter warm-up change that."
        ]

    def resolved_name(self) -> str:
        assert self.name is not None
        return self.name

    def to_json(self) -> dict[str, Any]:
        """A job that begins with nothing says nothing of it, as in releases that knew no other."""
        left_out = {"init_from"} if self.init_from is None else None
        return self.model_dump(mode="json", exclude=left_out)

    def sha256(self) -> str:
        return hashlib.sha256(orjson.dumps(self.to_json(), option=orjson.OPT_SORT_KEYS)).hexdigest()
