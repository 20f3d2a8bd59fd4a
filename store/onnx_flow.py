"""Which nodes of a graph make shapes of what an observation says.

By its values, an observation of a few bytes could have a pass make any amount of numbers, or work
on them for ever. So where an input of an operator decides on a shape, it may come of constants and
of shapes alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

# By operator: which of its inputs, from 0.
_DECIDING = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "Unsqueeze": (1,),
}
_REDUCING = "Reduce"
# Tells of its input's shape, which no observation decides on.
_SHAPES = ("Shape", "Size")


class Flaw(Exception):
    """Says of a graph what it does."""


@dataclass(frozen=True, slots=True)
class Node:
    kind: str
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]


def require_fixed_shapes(
    nodes: Iterable[Node], inputs: Iterable[bytes], constants: Iterable[bytes]
) -> None:
    """In their order, in which each node's inputs are defined before it. `inputs`: names of the
    graph's, of which those of `constants` too are not fed. Raises `Flaw`."""
    constant = set(constants)
    observed = set(inputs) - constant
    defined = constant | observed
    for node in nodes:
        told = {name for name in node.inputs if name}  # '' stands for one that is left out
        if not told <= defined:
            raise Flaw(f"a node {node.kind!r} is before what it is computed of")
        if _deciding(node) & observed:
            raise Flaw(f"a shape that {node.kind!r} makes depends on the observation")
        made = {name for name in node.outputs if name}
        if made & defined:
            raise Flaw(f"a node {node.kind!r} makes what is there already")
        defined |= made
        if told & observed and node.kind not in _SHAPES:
            observed |= made


def _deciding(node: Node) -> set[bytes]:
    places = (1,) if node.kind.startswith(_REDUCING) else _DECIDING.get(node.kind, ())
    return {node.inputs[place] for place in places if place < len(node.inputs)}
