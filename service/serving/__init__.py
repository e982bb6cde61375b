"""Keeps a parser at work: start and end, the queue, times and metrics."""
