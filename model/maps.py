"""`HeadMaps`, the network's output per cell: the boundary between network and decoder."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from model.config import DecoderConfig


class HeadMaps(NamedTuple):
    """Dense predictions at stride 4. Vectors are (x, y) in cells; the names become tensor names in `parser.onnx`.

    Shapes: B images, h x w cells, C parts, K joints, L limbs.

    Differs from the paper, which has no centers: `center_logits` and `regression` are CenterNet's (Zhou et al., 2019).
    """

    part_logits: Tensor  # [B, C+1, h, w], channel 0 is background (Eq. 1)
    projection_field: Tensor  # [B, 2, h, w], from a person's cell to the nearest joint of the same person (Eqs. 2-6)
    heatmap_logits: Tensor  # [B, K, h, w], is a joint of class k within R of this cell?
    offsets: Tensor  # [B, K, 2, h, w], from a cell to the nearest joint of class k
    limb_logits: Tensor  # [B, L, h, w], Gaussian response of a limb through this cell
    center_logits: Tensor  # [B, 1, h, w], is the center of a person's box in this cell?
    regression: Tensor  # [B, K, 2, h, w], from the cell of a person's center to joint k of the person


def decoder_inputs(config: DecoderConfig) -> tuple[str, ...]:
    """Names of the maps that the decoder reads: without centers in its scores, as in the paper, not theirs."""
    unread = () if config.center_weight else ("center_logits", "regression")
    return tuple(name for name in HeadMaps._fields if name not in unread)
