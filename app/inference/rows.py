"""A request's tensors as the network's input, by the rules that act has."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.inference.tensors import MASK, TensorForm, mask_form, observation_forms, value_of
from app.refusals import ActRefused
from app.serving.bundle import Actor
from app.serving.masks import Masks, read_masks
from app.serving.observation import read_rows
from mrq_core.actions import ActionCodec
from mrq_core.spaces import Floats, Space

Tensors = Mapping[str, NDArray[Any]]


def read_tensors(actor: Actor, tensors: Tensors, max_batch: int) -> tuple[Floats, Masks | None]:
    """(B, D), and (B, A) or (1, A) for all rows alike."""
    forms = observation_forms(actor.observation_space)
    _require_known(tensors, [each.name for each in forms], mask_form(actor.codec))
    arrays = [_array(tensors, form) for form in forms]
    batch = len(arrays[0])
    for form, array in zip(forms, arrays, strict=True):
        if len(array) != batch:
            raise _misshapen(form, array, first=str(batch))
    rows = _rows(actor.observation_space, arrays, max_batch)
    return rows, _masks(actor.codec, tensors.get(MASK), batch)


def _require_known(tensors: Tensors, names: list[str], mask: TensorForm | None) -> None:
    allowed = [*names, MASK] if mask else names
    for name in tensors:
        if name not in (*names, MASK):  # of a mask for continuous actions says act's own rule
            text = f"{name[:80]!r} is no input of this policy; allowed: {', '.join(allowed)}."
            raise ActRefused("invalid_tensor", text, param="inputs")


def _array(tensors: Tensors, form: TensorForm) -> NDArray[Any]:
    array = tensors.get(form.name)
    if array is None:
        text = f"The input {form.name!r} is missing."
        raise ActRefused("observation_missing", text, param="inputs")
    if array.shape[1:] != form.shape:
        raise _misshapen(form, array)
    return array


def _misshapen(form: TensorForm, array: NDArray[Any], first: str = "batch") -> ActRefused:
    expected = f"shape [{', '.join([first, *map(str, form.shape)])}]"
    got = str(list(array.shape))
    return ActRefused(
        "observation_shape_mismatch",
        f"{form.name}: expected {expected}, got {got}.",
        param=form.name,
        expected=expected,
        got=got,
    )


def _rows(space: Space, arrays: list[NDArray[Any]], max_batch: int) -> Floats:
    if observation_forms(space)[0].name == "observation":
        return read_rows(space, arrays[0], None, max_batch)[0]
    # Not one value of a batch beyond its limit is made.
    size = min(len(arrays[0]), max_batch + 1)
    values = [value_of(space, iter([array[i] for array in arrays])) for i in range(size)]
    return read_rows(space, values, True, max_batch)[0]


def _masks(codec: ActionCodec, array: NDArray[Any] | None, batch: int) -> Masks | None:
    """One for each observation, or one for all."""
    if array is None:
        return None
    shared = array.ndim == 2 and len(array) == 1
    return read_masks(codec, np.asarray(array[0] if shared else array).tolist(), batch)
