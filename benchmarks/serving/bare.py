"""ONNX Runtime and nothing else: `python -m benchmarks.serving.bare MODEL ROWS SECONDS` prints
observations a second, of one thread."""

import sys
import time

import numpy as np
import onnxruntime


def main() -> None:
    model, rows, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    observations = np.random.default_rng(0).standard_normal((rows, 17)).astype(np.float32)
    passes, begun = 0, time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        session.run(["policy"], {"observation": observations})
        passes += 1
    print(passes * rows / (now - begun))


if __name__ == "__main__":
    main()
