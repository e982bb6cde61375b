"""Settings of a training run, apart from its data, and recipes that define them."""
