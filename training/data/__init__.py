"""Labelled images: samples, layouts on disk, converters, checks and statistics."""
