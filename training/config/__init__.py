"""Everything that a training run depends on but its data, and the recipes that set it."""
