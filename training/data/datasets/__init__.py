"""Layouts of labelled images on disk, one module each, behind one interface."""
