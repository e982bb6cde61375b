"""Maps at canvas resolution: the part and the person of every pixel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from model.config import STRIDE
from model.decoder.hough import Vote

_LANES = 4


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
    rows = torch.stack(_interpolate(weigh_background(part_logits), 2), 1)  # [B, 4, C+1, h, w]
    part = torch.stack([pixels.argmax(2) for pixels in _interpolate(rows, 4)], 2)  # [B, 4, 4, h, w]
    part = torch.where(owned[:, None, None], part.to(part_logits.dtype), 0.0)
    # Ids are computed as floats, which hold them exactly and which a runtime fuses.
    person = upsample_ids(upsample_ids(cell_person.to(part.dtype)[:, None, None]))  # [B, 4, 4, h, w]
    part_score = _mean_by_part(part_logits.softmax(1), person, part, people, vote)
    return LabelMaps(to_canvas(part), to_canvas(torch.where(part > 0, person + 1, 0.0)), part_score)


def weigh_background(part_logits: Tensor) -> Tensor:
    """Logits [B, C+1, h, w] whose largest is the background exactly where that is likelier than all parts together."""
    background, parts = part_logits[:, :1], part_logits[:, 1:]
    best = parts.amax(1, keepdim=True)
    together = (parts - best).exp().sum(1, keepdim=True).log()  # by how much all parts exceed the best, at least 0
    return torch.cat((background - together, parts), 1)


def upsample_ids(person: Tensor) -> Tensor:
    """Ids of n x n places a cell [B, n, n, h, w] at twice the resolution [B, 2n, 2n, h, w], the corners of stairs cut.

    A quarter of a place takes the id of its two neighbours where these agree with each other and not with the ones
    across from them (Scale2x; Mazzoleni, 2001). Lines and single cells stay as thick as they are.
    """
    above, below = _neighbours(person, 1)
    left, right = _neighbours(person, 2)
    stairs = (above != below) & (left != right)

    def quarter(vertical: Tensor, horizontal: Tensor) -> Tensor:
        return torch.where(stairs & (vertical == horizontal), vertical, person)

    upper = torch.stack((quarter(above, left), quarter(above, right)), 3)  # [B, n, n, 2, h, w]
    lower = torch.stack((quarter(below, left), quarter(below, right)), 3)
    return torch.stack((upper, lower), 2).flatten(3, 4).flatten(1, 2)  # of [B, n, 2, n, 2, h, w]


def _neighbours(values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The places before and after each of [B, n, n, h, w] along axis 1 (y) or 2 (x), the border continued."""
    places, cells = values.unbind(dim), dim + 1  # a place's own axis is gone
    last = values.shape[dim + 2] - 1
    before = torch.cat((places[0].narrow(cells, 0, 1), places[-1].narrow(cells, 0, last)), cells)
    after = torch.cat((places[0].narrow(cells, 1, last), places[-1].narrow(cells, last, 1)), cells)
    return torch.stack((before, *places[:-1]), dim), torch.stack((*places[1:], after), dim)


def _interpolate(values: Tensor, dim: int) -> list[Tensor]:
    """Linear interpolation along `dim` at the 4 pixels of each cell, the border continued: 4 tensors like `values`."""
    last = values.shape[dim] - 1
    before = torch.cat((values.narrow(dim, 0, 1), values.narrow(dim, 0, last)), dim)
    after = torch.cat((values.narrow(dim, 1, last), values.narrow(dim, last, 1)), dim)
    from_centre = [(pixel + 0.5) / STRIDE - 0.5 for pixel in range(STRIDE)]  # in cells
    # Not torch.lerp: its export computes two formulas, of which one is dropped.
    return [values + abs(shift) * ((before if shift < 0 else after) - values) for shift in from_centre]


def to_canvas(pixels: Tensor) -> Tensor:
    """Pixels by their place in the cell [B, 4, 4, h, w] to uint8 [B, 4h, 4w]."""
    return pixels.to(torch.uint8).permute(0, 3, 1, 4, 2).flatten(3, 4).flatten(1, 2)


def _mean_by_part(probability: Tensor, person: Tensor, part: Tensor, people: int, vote: Vote) -> Tensor:
    """Mean of a part's probability in its pixels' cells over each person and part: [B, P, C], 0 without pixels.

    A softmax of the canvas would cost more than all the rest.

    probability: [B, C+1, h, w]; person, part: [B, 4, 4, h, w].
    """
    batch, classes, height, width = probability.shape
    cells = height * width
    person, part = (pixels.reshape(batch, STRIDE**2, cells) for pixels in (person, part))
    cell = torch.arange(cells, device=part.device)
    image = torch.arange(batch, device=part.device)[:, None, None] * (classes * cells)
    # One flat index: runtimes read along an axis several times slower.
    index = (part.long() * cells + cell + image).flatten()
    value = probability.flatten().index_select(0, index).reshape(part.shape)  # [B, 16, hw]
    if vote == "scatter":
        # A histogram for each place and each of some lanes of cells: a runtime fills those of the places in parallel,
        # and neighbouring cells, mostly of one part, do not wait for each other.
        bins = people * classes
        index = (cell % _LANES * bins + person * classes + part).long()
        empty = torch.zeros(batch, STRIDE**2, _LANES * bins, device=value.device)
        total, pixels = (empty.scatter_add(2, index, t) for t in (value, torch.ones_like(value)))
        total, pixels = (t.reshape(batch, -1, bins).sum(1) for t in (total, pixels))
        total, pixels = (t.reshape(-1, people, classes)[:, :, 1:] for t in (total, pixels))
    else:
        slot = torch.arange(people, device=value.device)[:, None]
        of_person = (person[:, :, None] == slot).float()  # [B, 16, P, hw]
        of_part = (part[..., None] == torch.arange(1, classes, device=value.device)).float()  # [B, 16, hw, C]
        total, pixels = ((of_person @ t).sum(1) for t in (of_part * value[..., None], of_part))
    return total / pixels.clamp(min=1.0)
