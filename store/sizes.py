"""Products of sizes that a stranger tells."""

from collections.abc import Sequence


def more_than(sizes: Sequence[int], most: int) -> bool:
    """Whether they make more than `most` numbers; none may be negative. The product itself may have
    a million digits, and computing it would keep the whole process from anything else."""
    if 0 in sizes:
        return False
    product = 1
    for size in sizes:
        product *= size
        if product > most:
            return True
    return False
