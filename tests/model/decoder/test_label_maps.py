from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from model.decoder.label_maps import assemble, to_canvas, upsample_ids, weigh_background

PEOPLE, PARTS = 3, 5


def random_case() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    logits = F.interpolate(3 * torch.randn(2, PARTS + 1, 4, 5, generator=draw), size=(8, 11), mode="bilinear")
    logits[:, 3] -= 9  # a part nobody has
    person = torch.randint(0, PEOPLE - 1, (2, 8, 11), generator=draw)  # and a person without pixels
    return logits, person


def naive_enlarge(ids: np.ndarray) -> np.ndarray:
    """Scale2x, a cell at a time."""
    height, width = ids.shape
    fine = np.empty((2 * height, 2 * width), ids.dtype)
    for y, x in np.ndindex(height, width):
        above, below = ids[max(y - 1, 0), x], ids[min(y + 1, height - 1), x]
        left, right = ids[y, max(x - 1, 0)], ids[y, min(x + 1, width - 1)]
        for row, vertical in enumerate((above, below)):
            for column, horizontal in enumerate((left, right)):
                cut = vertical == horizontal and above != below and left != right
                fine[2 * y + row, 2 * x + column] = vertical if cut else ids[y, x]
    return fine


def test_borders_between_people_lose_their_stairs() -> None:
    stairs = torch.ones(1, 8, 8, dtype=torch.int32).tril()
    fine = to_canvas(upsample_ids(upsample_ids(stairs[:, None, None])))[0].int()  # [32, 32]
    blocks = stairs[0].repeat_interleave(4, 0).repeat_interleave(4, 1)

    def unevenness(border: torch.Tensor) -> float:
        """By how many pixels columns of the lower person are higher or lower than on a straight diagonal, at most."""
        height = border.sum(0)[4:-4].float()  # the canvas's edge has no neighbours
        deviation = height + torch.arange(len(height))
        return float(deviation.max() - deviation.min())

    assert unevenness(blocks) == 3
    assert unevenness(fine) == 2
    line = torch.tensor([[[0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]]])
    fine_line = upsample_ids(line[:, None, None])  # [1, 2, 2, 4, 3]
    assert torch.equal(fine_line, line[:, None, None].expand_as(fine_line))  # nobody gets lost


@pytest.mark.parametrize("vote", ["scatter", "tent"])
def test_maps_and_scores(vote: str) -> None:
    logits, cell_person = random_case()
    painting = assemble(logits, cell_person, torch.ones_like(cell_person) > 0, PEOPLE, vote)
    upsampled = F.interpolate(weigh_background(logits), scale_factor=4, mode="bilinear", align_corners=False)
    part_map, person_map = painting.part_map.numpy(), painting.person_map.numpy()
    np.testing.assert_array_equal(part_map, upsampled.argmax(1))
    fine = np.stack([naive_enlarge(naive_enlarge(ids)) for ids in cell_person.numpy()])
    np.testing.assert_array_equal(person_map, np.where(part_map > 0, fine + 1, 0))
    probability = logits.softmax(1).numpy()
    for b, person, part in np.ndindex(2, PEOPLE, PARTS):
        y, x = np.nonzero((person_map[b] == person + 1) & (part_map[b] == part + 1))
        expected = probability[b, part + 1, y // 4, x // 4].mean() if len(y) else 0.0
        assert painting.part_score[b, person, part].item() == pytest.approx(expected, abs=1e-6)
        assert (painting.part_score[b, person, part] > 0) == (len(y) > 0)
    assert painting.part_map.dtype == painting.person_map.dtype == torch.uint8


def test_somebody_is_where_the_parts_together_are_likelier_than_the_background() -> None:
    logits = 3 * torch.randn(2, PARTS + 1, 8, 11, generator=torch.Generator().manual_seed(1))
    weighed = weigh_background(logits)
    probability = logits.softmax(1)
    somebody = 1 - probability[:, 0] > 0.5
    assert torch.equal(weighed.argmax(1) > 0, somebody)
    assert torch.equal(weighed[:, 1:], logits[:, 1:])
    several = somebody & (logits.argmax(1) == 0)  # several parts share what the background alone does not outdo
    assert several.any()
    certain = 1000 * logits  # far beyond what exp can hold
    assert torch.equal(weigh_background(certain).argmax(1), certain.argmax(1))


def test_nobody_is_an_empty_canvas() -> None:
    logits, cell_person = random_case()
    owned = torch.stack((torch.ones(8, 11), torch.zeros(8, 11))) > 0
    painting = assemble(logits, cell_person, owned, PEOPLE, "scatter")
    assert not any(t[1].any() for t in painting)
    assert painting.part_map[0].any()


def test_cells_that_belong_to_nobody_are_background() -> None:
    logits, cell_person = random_case()
    owned = torch.ones(2, 8, 11) > 0
    whole = assemble(logits, cell_person, owned, PEOPLE, "scatter")
    owned[0, :, :6] = False
    part = assemble(logits, cell_person, owned, PEOPLE, "scatter")
    assert not part.part_map[0, :, :24].any()
    assert not part.person_map[0, :, :24].any()
    assert torch.equal(part.part_map[0, :, 24:], whole.part_map[0, :, 24:])
    assert torch.equal(part.part_map[1], whole.part_map[1])
