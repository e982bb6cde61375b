"""Latency against the number of people in an image, network and decoder apart."""
