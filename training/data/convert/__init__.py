"""Converters from annotation tools' exports to folders for training."""
