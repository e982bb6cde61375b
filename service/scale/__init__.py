"""Goes past one machine: the same parser over archives of images, and the same server on many machines, with Ray."""
