"""Trained policies as actions: ONNX Runtime inside the server's process, no torch."""
