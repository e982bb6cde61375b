"""Runs what the command line offers besides the server."""
