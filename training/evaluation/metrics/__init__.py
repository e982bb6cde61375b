"""Every figure of accuracy, each a pure function on the arrays of one image or of many.

Maps are [H, W] in the image's pixels: parts 0 background, 1..C; people 0 nobody, i = row i-1; 255 unknown in labels
only. Predicted people come by falling score. What has no value (no labels of the kind) is NaN.
"""
