"""A runtime for MLServer around ONNX Runtime; `parameters.uri` says where the model is."""

import os

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Runtime(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["PASS_THREADS"])
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        observations = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32)
        (actions,) = self.session.run(["policy"], {"observation": observations})
        output = NumpyCodec.encode_output("action", actions)
        return InferenceResponse(model_name=self.name, outputs=[output])
