"""What every part of a job spec has in common: how strict it is, and how it refuses."""

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError


def refused(path: str, message: str) -> PydanticCustomError:
    """For checks between fields: `path` names the one to change, relative to the failing part."""
    return PydanticCustomError("refused", "{message}", {"path": path, "message": message})


def shown(value: object) -> str:
    return repr(value)[:80]


def what_is_refused(error: ValidationError) -> str:
    """In one line, each field with its value; a check between fields names them itself."""
    return "; ".join(
        each["msg"]
        if each["type"] == "refused"
        else f"{'.'.join(map(str, each['loc']))}={shown(each['input'])}: {each['msg']}"
        for each in error.errors()
    )


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)
