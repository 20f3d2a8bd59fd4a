"""ONNX Runtime and nothing else: `python -m benchmarks.serving.bare MODEL ROWS THREADS SECONDS`
prints observations a second."""

import sys
import time
from pathlib import Path

import numpy as np

from app.serving.bundle import open_session


def main() -> None:
    model, rows, threads, seconds = sys.argv[1], *map(int, sys.argv[2:4]), float(sys.argv[4])
    session = open_session(Path(model).read_bytes(), threads)
    observations = np.random.default_rng(0).standard_normal((rows, 17)).astype(np.float32)
    passes, begun = 0, time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        session.run(["policy"], {"observation": observations})
        passes += 1
    print(passes * rows / (now - begun))


if __name__ == "__main__":
    main()
