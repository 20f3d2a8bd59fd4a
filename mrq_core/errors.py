"""What can go wrong in a run. All are told to the person who asked for it."""


class TrainingError(Exception):
    """A run that cannot go on."""


class EnvironmentFault(TrainingError):
    """The environment broke its contract, or raised."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(f"at step {step} the environment failed: {what}")
        self.step = step
        self.what = what


class NonFiniteError(TrainingError):
    """A reward or a loss is NaN or infinite; learning from it would destroy the networks."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(f"at step {step}: {what} is not finite")
        self.step = step
        self.what = what


class ResumeError(TrainingError):
    """The checkpoint cannot be continued exactly."""


class MissingPackage(TrainingError):
    """What the run needs is not installed on this machine."""
