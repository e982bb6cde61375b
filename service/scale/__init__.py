"""Goes past one machine: the same parser over archives of photos, and the same server on many machines, with Ray."""
