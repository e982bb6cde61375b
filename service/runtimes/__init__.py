"""Runs the graph: a canvas to its tensors, one file per runtime."""
