"""Letterbox geometry, shared by training, evaluation and service. Neither torch nor numpy."""

from __future__ import annotations

from typing import Any, NamedTuple

Coordinate = Any  # a number, or an array of them

LETTERBOX_COLOR = (124, 116, 104)  # RGB of the bars: the ImageNet mean, which normalisation turns into zeros


class Letterbox(NamedTuple):
    """An image fitted into a canvas without distortion, centred between two bars.

    `height` and `width` are the resized image's, in canvas pixels; its top left pixel is (`offset_x`, `offset_y`).
    `scale_x` and `scale_y` are exactly resized / original, hence differ by the rounding to whole pixels.
    """

    height: int
    width: int
    offset_x: int
    offset_y: int
    scale_x: float
    scale_y: float

    def to_canvas(self, x_image: Coordinate, y_image: Coordinate) -> tuple[Coordinate, Coordinate]:
        """Canvas coordinates of an image's point; a pixel's centre is at integers in both frames."""
        return (
            (x_image + 0.5) * self.scale_x - 0.5 + self.offset_x,
            (y_image + 0.5) * self.scale_y - 0.5 + self.offset_y,
        )

    def to_image(self, x_canvas: Coordinate, y_canvas: Coordinate) -> tuple[Coordinate, Coordinate]:
        """Inverse of `to_canvas`."""
        return (
            (x_canvas - self.offset_x + 0.5) / self.scale_x - 0.5,
            (y_canvas - self.offset_y + 0.5) / self.scale_y - 0.5,
        )

    def content(self, canvas: Any) -> Any:
        """View of an array [H, W, ...] of the canvas without its bars."""
        rows = slice(self.offset_y, self.offset_y + self.height)
        return canvas[rows, self.offset_x : self.offset_x + self.width]


def letterbox_geometry(size_image: tuple[int, int], size_canvas: tuple[int, int]) -> Letterbox:
    """Return the placement of an image of `size_image` (height, width) in a canvas of `size_canvas`.

    It is as large as fits, enlarged where the canvas is larger; an odd rest leaves the larger bar at right or bottom.
    Raises ValueError where a side is not positive.
    """
    (h, w), (h_canvas, w_canvas) = size_image, size_canvas
    if min(h, w, h_canvas, w_canvas) <= 0:
        raise ValueError(f"an image of {h}x{w} cannot be fitted into {h_canvas}x{w_canvas}: sides must be positive")
    scale = min(h_canvas / h, w_canvas / w)
    height = min(max(int(h * scale + 0.5), 1), h_canvas)
    width = min(max(int(w * scale + 0.5), 1), w_canvas)
    return Letterbox(
        height=height,
        width=width,
        offset_x=(w_canvas - width) // 2,
        offset_y=(h_canvas - height) // 2,
        scale_x=width / w,
        scale_y=height / h,
    )
