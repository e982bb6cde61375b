"""Parses images with a loaded bundle: bytes to the tensors of the graph, and the way back to the image."""
