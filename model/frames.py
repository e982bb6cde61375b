"""Cells and canvas pixels: where a cell of the stride-4 maps lies on the canvas.

Pixel and cell centres sit at integer coordinates. Cell j covers canvas pixels 4j .. 4j+3, so its centre is canvas
4j + 1.5: what bilinear interpolation with `align_corners=False` assumes. Points are (x, y).
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.config import STRIDE

_CENTRE = (STRIDE - 1) / 2  # of cell 0, in canvas pixels


def cell_to_canvas(xy_cell: Tensor) -> Tensor:
    """Points in cells to points in canvas pixels, any shape."""
    return xy_cell * STRIDE + _CENTRE


def canvas_to_cell(xy_canvas: Tensor) -> Tensor:
    """Points in canvas pixels to points in cells, any shape."""
    return (xy_canvas - _CENTRE) / STRIDE


def cell_grid(like: Tensor) -> tuple[Tensor, Tensor]:
    """x [1, w] and y [h, 1] of the cell centres of a map [..., h, w], in cells, float32 on the map's device."""
    height, width = like.shape[-2:]
    x = torch.arange(width, dtype=torch.float32, device=like.device)
    y = torch.arange(height, dtype=torch.float32, device=like.device)
    return x[None, :], y[:, None]
