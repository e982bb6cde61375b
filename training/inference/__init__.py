"""Predictors for checkpoints and bundles, their predictions in image pixels, and pseudo-labels."""
