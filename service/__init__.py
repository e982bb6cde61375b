"""Serves a bundle without torch: bytes of an image to the response, over HTTP and on the command line."""
