"""Measurements across runs and machines: ablations, variants, latency, training speed, the matcher."""
