"""What a trainer that has fallen silent is doing, by the stack that it wrote into its log.

The stack is written by a signal handler in C, so also when a call that hangs holds Python's lock.
"""

import re

# Most recent call first: the first of these frames is the innermost.
_CALL = re.compile(
    r'File "[^"]*/mrq_core/[\w/]+\.py", line \d+ in (reset|step|make_environment)$', re.M
)
_EVALUATION = re.compile(r'File "[^"]*/mrq_core/evaluation\.py"')
_TOLD = {
    "reset": "the environment hangs in reset",
    "step": "the environment hangs in step",
    "make_environment": "the environment hangs while it is made",
}


def what_hangs(stack: str) -> str | None:
    """None where it is not the environment, or nothing was written."""
    call = _CALL.search(stack)
    if call is None:
        return None
    during = ", during an evaluation" if _EVALUATION.search(stack) else ""
    return _TOLD[call[1]] + during
