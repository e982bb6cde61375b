"""Losses per task, the matching loss, and their weighted sum."""
