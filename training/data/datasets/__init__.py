"""Layouts of labelled photos on disk, one module each, behind one interface."""
