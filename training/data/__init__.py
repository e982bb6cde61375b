"""Labelled images: what a sample is, the layouts on disk, converters, checks and statistics."""
