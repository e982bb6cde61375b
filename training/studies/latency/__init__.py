"""Time against the number of people in a photo, network and decoder apart."""
