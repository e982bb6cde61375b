"""Writes responses: tensors to people, masks, polygons, label maps and pictures."""
