"""`python -m worker.trainer_start`: the trainer, started while the garbage collector sleeps.

Loading torch makes hundreds of thousands of objects that live as long as the process: nobody has
to look through them while they come, nor, after `freeze`, at any later collection.
"""

import gc
import sys
from importlib import import_module


def main() -> int:
    gc.disable()
    trainer = import_module("worker.trainer")
    import_module("torch._dynamo")  # which the first optimiser would load
    gc.freeze()
    gc.enable()
    code: int = trainer.main()
    return code


if __name__ == "__main__":
    sys.exit(main())
