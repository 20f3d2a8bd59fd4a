"""`python -m worker.trainer_start`: the trainer, started while the garbage collector sleeps.

What loading torch makes lives as long as the process: nobody has to look through it while it
comes, nor, after `freeze`, at any later collection.
"""

import gc
import sys
from importlib import import_module


def main() -> int:
    gc.disable()
    trainer = import_module("worker.trainer")
    # The first optimiser would load it. What is to be trained is not told yet; only a table has no
    # optimiser, and waits a moment for nothing.
    import_module("torch._dynamo")
    gc.freeze()
    gc.enable()
    code: int = trainer.main()
    return code


if __name__ == "__main__":
    sys.exit(main())
