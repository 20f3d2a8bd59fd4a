"""Ray Serve with its defaults: `ray_server.py MODEL PORT`."""

import sys
import time

import numpy as np
import onnxruntime
import ray
from ray import serve


@serve.deployment
class Policy:
    def __init__(self, model: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options)

    async def __call__(self, request):
        observation = (await request.json())["observation"]
        observations = np.array([observation], np.float32)
        (actions,) = self.session.run(["policy"], {"observation": observations})
        return {"action": actions[0].tolist()}


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False, num_cpus=2)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    serve.run(Policy.bind(sys.argv[1]))
    while True:
        time.sleep(3600)
