"""Reads image files: bytes to upright RGB pixels and to the canvas that the graph takes."""
