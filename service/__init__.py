"""The server and the command line: from the bytes of a photo to the answer, without torch."""
