"""Networks for other runtimes: ONNX, OpenVINO and LiteRT; one file each, which alone imports that runtime."""
