"""Canvas sizes, shared by export, evaluation and service. Neither torch nor numpy."""

from __future__ import annotations

from collections.abc import Sequence

from model.manifest import Size

# About equal areas a level: 64, 144 and 256 squares of 32 px. Aspect ratios: film, photo, square and both upright.
CANVASES: dict[str, tuple[Size, ...]] = {
    "fast": ((192, 352), (224, 288), (256, 256), (288, 224), (352, 192)),
    "standard": ((288, 512), (320, 448), (384, 384), (448, 320), (512, 288)),
    "high": ((384, 672), (448, 576), (512, 512), (576, 448), (672, 384)),
}
CANVASES["finest"] = CANVASES["high"]
# Levels whose answer is united from the canvases of two others, the coarse one first: `model.two_scales`.
SCALES: dict[str, tuple[str, ...]] = {"finest": ("fast", "high")}
TTA_PASSES: dict[str, int] = {}  # how often the network sees a canvas, where more than once: `model.flip_tta`
SINGLE_PASS = tuple(detail for detail in CANVASES if detail not in TTA_PASSES and detail not in SCALES)


def best_canvas(size_image: Size, canvases: Sequence[Size]) -> Size:
    """The canvas that shows the image at the largest scale; of equals the smallest."""

    def merit(size: Size) -> tuple[float, int]:
        scale = min(size[0] / size_image[0], size[1] / size_image[1])
        return -scale, size[0] * size[1]

    return min(canvases, key=merit)
