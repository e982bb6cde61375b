"""Checkpoints and bundles as predictors, their predictions in a photo, and pseudo-labels made of them."""
