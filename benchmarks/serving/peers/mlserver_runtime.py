"""A runtime for MLServer around ONNX Runtime; `parameters.uri` says where the model is."""

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Runtime(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        observations = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32)
        (actions,) = self.session.run(["policy"], {"observation": observations})
        output = NumpyCodec.encode_output("action", actions)
        return InferenceResponse(model_name=self.name, outputs=[output])
