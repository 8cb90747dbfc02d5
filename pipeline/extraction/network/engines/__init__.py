"""What computes the frozen network: Keras or OpenVINO."""
