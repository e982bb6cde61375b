"""Losses, the matching loss, and their weighted sum."""
