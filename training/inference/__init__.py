"""Checkpoints and bundles as predictors, their predictions in an image, and pseudo-labels made of them."""
