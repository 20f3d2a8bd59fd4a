"""The legal actions that a client names, checked: what a mask may be depends on the policy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.refusals import ActRefused
from mrq_core.actions import ActionCodec
from mrq_core.spaces import SpaceError, describe

Masks = NDArray[np.bool_]
FIELD = "action_mask"


def read_masks(codec: ActionCodec, value: Any, batch: int | None) -> Masks | None:
    """(B, A), or (1, A) for all rows alike. `batch` None: the request has one observation.

    A client writes the choices of all components one after the other, as `A` zeros and ones.
    """
    if value is None:
        return None
    if not codec.discrete:
        text = "action_mask has no meaning for continuous actions: leave it out."
        raise ActRefused("mask_unsupported", text, param=FIELD)
    if not isinstance(value, list):
        raise _misshapen(codec, value, FIELD)
    if batch is None or not any(isinstance(part, list) for part in value):
        return _read(codec, value, FIELD)[np.newaxis]
    if len(value) != batch:
        expected = f"{batch} masks, one for each observation, or one for all"
        mistake = told(FIELD, expected, f"{len(value)} of them")
        raise ActRefused("mask_shape_mismatch", **mistake)
    rows = [_read(codec, row, f"{FIELD}[{index}]") for index, row in enumerate(value)]
    return np.stack(rows)


def _read(codec: ActionCodec, mask: Any, path: str) -> Masks:
    """(A,)"""
    if not isinstance(mask, list) or len(mask) != codec.action_dim:
        raise _misshapen(codec, mask, path)
    for choice in mask:
        if isinstance(choice, (list, dict)):
            raise _misshapen(codec, choice, path)
        if type(choice) not in (int, bool) or choice not in (0, 1):
            mistake = told(path, "zeros and ones, or true and false", describe(choice))
            raise ActRefused("mask_dtype", **mistake)
    try:
        return codec.read_mask(mask, path)
    except SpaceError as error:  # of this shape and type, the only thing left to be wrong
        mistake = told(path, error.expected, error.got)
        raise ActRefused("mask_all_false", **mistake) from None


def _misshapen(codec: ActionCodec, got: Any, path: str) -> ActRefused:
    mistake = told(path, f"a list of {codec.action_dim} zeros and ones", describe(got))
    return ActRefused("mask_shape_mismatch", **mistake)


def told(path: str, expected: str, got: str) -> dict[str, str]:
    text = f"{path}: expected {expected}, got {got}."
    return {"message": text, "param": path, "expected": expected, "got": got}
