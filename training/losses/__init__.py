"""What a training step minimizes: the losses, the matching loss, and their weighted sum."""
