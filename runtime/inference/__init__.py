"""The three graphs in ONNX Runtime or OpenVINO."""
