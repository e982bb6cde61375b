"""Accuracy metrics, each a pure function on the arrays of one image or of many.

Maps are [H, W] in image pixels: parts 0 background, 1..C; people 0 nobody, i = row i-1; 255 unknown in labels only.
Predicted people are sorted by falling score. A metric without a value (no such labels) is NaN.
"""
