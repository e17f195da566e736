"""The protocol of sherpa-onnx's streaming servers."""
