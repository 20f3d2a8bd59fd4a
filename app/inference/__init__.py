"""The Open Inference Protocol, version 2: how clients of KServe and Triton ask a policy to act."""
