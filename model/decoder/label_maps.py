"""Maps at canvas resolution: the part and the person of every pixel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from model.config import STRIDE
from model.decoder.hough import Vote


class LabelMaps(NamedTuple):
    """Canvas maps, H = 4h and W = 4w. A pixel has a part exactly if it has a person."""

    part_map: Tensor  # [B, H, W], uint8, 0 background, 1..C part
    person_map: Tensor  # [B, H, W], uint8, 0 nobody, p+1 slot p
    part_score: Tensor  # [B, P, C], mean probability over the pixels; 0 exactly where the maps have none


def assemble(part_logits: Tensor, cell_person: Tensor, owned: Tensor, people: int, vote: Vote) -> LabelMaps:
    """Parts from upsampled logits, so that contours do not follow the cells; people from their cells, corners cut.

    Evaluating Eq. 17 per pixel would cost 16 times as much. `upsample_ids` smoothes borders between people instead.

    Differs from the paper: the likeliest class of all would be background wherever two parts share what is more than
    half. Here a pixel is somebody's where all parts together are likelier than the background (`weigh_background`).

    Args:
        part_logits: [B, C+1, h, w].
        cell_person: [B, h, w] int64, from `assign_cells`.
        owned: [B, h, w] bool, cells that belong to somebody; both maps are 0 elsewhere.
        people: P.
        vote: how scores are summed per person and part, as in `hough_scores`.
    """
    height, width = part_logits.shape[-2:]
    rows = torch.stack(_interpolate(weigh_background(part_logits), 2), 2)  # [B, C+1, 4, h, w]
    part = torch.stack([pixels.argmax(1) for pixels in _interpolate(rows, 4)], 2)  # [B, 4, 4, h, w]
    part = torch.where(owned[:, None, None], part, 0).flatten(3).flatten(1, 2)  # [B, 16, hw]
    pixel_person = upsample_ids(upsample_ids(cell_person.int()))  # [B, 4h, 4w]
    person = _to_places(pixel_person).long()  # [B, 16, hw]

    # A pixel's probability is that of its part in its cell: a softmax of the canvas would cost more than all the rest.
    probability = part_logits.softmax(1).flatten(2).gather(1, part)  # [B, 16, hw]
    part_score = _mean_by_part(probability, person, part, people, part_logits.shape[1] - 1, vote)
    part_map = _to_canvas(part, height, width)
    return LabelMaps(part_map, torch.where(part_map > 0, pixel_person + 1, 0).to(torch.uint8), part_score)


def weigh_background(part_logits: Tensor) -> Tensor:
    """Logits [B, C+1, h, w] whose largest is the background exactly where that is likelier than all parts together."""
    background, parts = part_logits[:, :1], part_logits[:, 1:]
    best = parts.amax(1, keepdim=True)
    together = (parts - best).exp().sum(1, keepdim=True).log()  # by how much all parts exceed the best, at least 0
    return torch.cat((background - together, parts), 1)


def upsample_ids(person: Tensor) -> Tensor:
    """Ids [B, h, w] at twice the resolution [B, 2h, 2w], the corners of stairs cut.

    A quarter of a cell takes the id of its two neighbours where these agree with each other and not with the ones
    across from them (Scale2x; Mazzoleni, 2001). Lines and single cells stay as thick as they are.
    """
    above = torch.cat((person[:, :1], person[:, :-1]), 1)
    below = torch.cat((person[:, 1:], person[:, -1:]), 1)
    left = torch.cat((person[:, :, :1], person[:, :, :-1]), 2)
    right = torch.cat((person[:, :, 1:], person[:, :, -1:]), 2)
    stairs = (above != below) & (left != right)

    def quarter(vertical: Tensor, horizontal: Tensor) -> Tensor:
        return torch.where(stairs & (vertical == horizontal), vertical, person)

    upper = torch.stack((quarter(above, left), quarter(above, right)), -1)  # [B, h, w, 2]
    lower = torch.stack((quarter(below, left), quarter(below, right)), -1)
    return torch.stack((upper, lower), 2).flatten(3).flatten(1, 2)  # of [B, h, 2, w, 2]


def _interpolate(values: Tensor, dim: int) -> list[Tensor]:
    """Linear interpolation along `dim` at the 4 pixels of each cell, the border continued: 4 tensors like `values`."""
    last = values.shape[dim] - 1
    before = torch.cat((values.narrow(dim, 0, 1), values.narrow(dim, 0, last)), dim)
    after = torch.cat((values.narrow(dim, 1, last), values.narrow(dim, last, 1)), dim)
    from_centre = [(pixel + 0.5) / STRIDE - 0.5 for pixel in range(STRIDE)]  # in cells
    return [torch.lerp(values, before if shift < 0 else after, abs(shift)) for shift in from_centre]


def _to_places(pixels: Tensor) -> Tensor:
    """[B, 4h, 4w] to pixels by their place in the cell [B, 4 * 4, h * w]: the inverse of `_to_canvas`."""
    height, width = pixels.shape[1] // STRIDE, pixels.shape[2] // STRIDE
    blocks = pixels.reshape(-1, height, STRIDE, width, STRIDE)
    return blocks.permute(0, 2, 4, 1, 3).reshape(-1, STRIDE**2, height * width)


def _to_canvas(pixels: Tensor, height: int, width: int) -> Tensor:
    """Pixels by their place in the cell [B, 4 * 4, h * w] to uint8 [B, 4h, 4w]."""
    blocks = pixels.to(torch.uint8).reshape(-1, STRIDE, STRIDE, height, width)
    return blocks.permute(0, 3, 1, 4, 2).reshape(-1, height * STRIDE, width * STRIDE)


def _mean_by_part(value: Tensor, person: Tensor, part: Tensor, people: int, parts: int, vote: Vote) -> Tensor:
    """Mean of a pixel's value over each person and part: [B, P, C], 0 where there is no pixel.

    value, part, person: [B, 16, hw], of pixels by their place in the cell.
    """
    if vote == "scatter":  # one histogram a place in the cell, so that a runtime can fill them in parallel
        index = person * (parts + 1) + part
        empty = torch.zeros(value.shape[0], STRIDE**2, people * (parts + 1), device=value.device)
        total = empty.scatter_add(2, index, value).sum(1)
        pixels = empty.scatter_add(2, index, torch.ones_like(value)).sum(1)
        total, pixels = (t.reshape(-1, people, parts + 1)[:, :, 1:] for t in (total, pixels))
    else:
        slot = torch.arange(people, device=value.device)[:, None]
        of_person = (person[:, :, None] == slot).float()  # [B, 16, P, hw]
        of_part = (part[..., None] == torch.arange(1, parts + 1, device=value.device)).float()  # [B, 16, hw, C]
        total, pixels = ((of_person @ t).sum(1) for t in (of_part * value[..., None], of_part))
    return total / pixels.clamp(min=1.0)
