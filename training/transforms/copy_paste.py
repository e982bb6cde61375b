"""Copy-paste augmentation: people of one image are pasted in front of or behind those of another.

After Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation" (CVPR 2021).
Differs from them: positions and sizes follow the people of the image.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from model.taxonomy import BACKGROUND, IGNORE, Taxonomy
from training.data.samples import Bool, Float32, Sample, UInt8, mask_boxes
from training.transforms.augment import Affine, Colors, drop_empty_instances, random_colors, swap_left_right, warp
from training.transforms.fields import dilate

MOST = 3  # people pasted into one sample
SMALLEST = 48  # image pixels: least longer side of a person to crop
RING = 2  # image pixels: width of the outline around a mask, and how far off the mask a joint may lie
CLEAR = 0.9  # least share of the outline that is background
FOUND = 1 / 3  # least share of the joints that lie on the mask
TINIEST = 24  # pixels: least longer side of a pasted person
SIZES = 0.6, 1.4  # longer side of a pasted person, relative to a person of the image
ENLARGED = 2.0  # largest scale: beyond it people are blurred
APART = 0.3, 1.3  # horizontal distance of two people; at 1 their boxes touch
MIRRORED, BEHIND, ELSEWHERE = 0.5, 0.3, 0.2  # probabilities of a flip, of pasting behind others, of a random position
SHOWN = 0.3  # least visible share of a pasted person
LEAST = 0.05  # share of its pixels below which a covered person is dropped

Point = tuple[int, int]


def copy_paste(sample: Sample, source: Sample, rng: np.random.Generator, taxonomy: Taxonomy, color: float) -> Sample:
    """Paste up to three complete people of `source` into `sample`; the result is a function of the state of `rng`.

    `color` is the color jitter of the pasted people, as `Augmentation.color_jitter`. Returns `sample` unchanged if it
    has no people or `source` has no complete person.
    """
    if not len(sample.keypoints):
        return sample
    wanted = rng.integers(1, MOST + 1)
    for row in rng.permutation(len(source.keypoints)):
        if not wanted or len(sample.keypoints) == IGNORE - 1:
            break
        person = crop_instance(source, int(row))
        if person is None:
            continue
        wanted -= 1
        scale, corner = _place(person, sample, rng)
        colors = random_colors(person.image, rng, color)
        placed, corner = _fit(person, sample.size, scale, corner, rng.random() < MIRRORED, colors, taxonomy)
        sample = paste_instance(sample, placed, corner, behind=rng.random() < BEHIND)
    return sample


def crop_instance(sample: Sample, row: int) -> Sample | None:
    """Crop one person with a margin of `RING` pixels around the mask; None if the person is not complete.

    A person is complete if the mask ends before the image does and its outline is background. Joints off the mask are
    behind something that is not cropped with the person: they become unlabelled.
    """
    mask = sample.people == row + 1  # [H, W]
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not ys.size or max(np.ptp(ys), np.ptp(xs)) < SMALLEST:
        return None
    (top, bottom), (left, right) = ((ends[0] - RING, ends[-1] + RING + 1) for ends in (ys, xs))
    if top < 0 or left < 0 or bottom > sample.size[0] or right > sample.size[1]:
        return None
    frame = slice(top, bottom), slice(left, right)
    mask, people = mask[frame], sample.people[frame]  # [h, w]
    around = dilate(mask, RING)
    if (people[around & ~mask] == BACKGROUND).mean() < CLEAR:
        return None

    keypoints = sample.keypoints[row : row + 1].copy()  # [1, K, 3]
    given = keypoints[:, :, 2] > 0  # [1, K]
    kept = _at(around, keypoints, (left, top))
    if kept.mean() < FOUND:
        return None
    keypoints[:, :, :2] -= left, top
    keypoints[~kept] = 0
    return replace(
        sample,
        image=sample.image[frame],
        parts=np.where(mask, sample.parts[frame], BACKGROUND).astype(np.uint8),
        people=mask.astype(np.uint8),
        keypoints=keypoints,
        joints_labelled=sample.joints_labelled[row : row + 1] & (kept | ~given),
        has_mask=np.ones(1, bool),
        pseudo_mask=sample.pseudo_mask[row : row + 1],
        boxes=mask_boxes(mask.astype(np.uint8), 1),
    )


def paste_instance(sample: Sample, person: Sample, corner: Point, behind: bool = False) -> Sample:
    """Paste the one person of `person`, a sample no larger than `sample`, in front of all others or behind them.

    Args:
        sample: the image to paste into.
        person: a crop with one person, all of it inside the image.
        corner: x, y in the image of the crop's first pixel.
        behind: keep the pixels of others, and unknown ones.

    Covered joints turn from visible to occluded. A person who keeps less than `LEAST` of the pixels is dropped, and
    the remaining pixels become unknown. The pasted person is the last row. If too little of it would be visible,
    `sample` is returned unchanged.
    """
    (x, y), (height, width) = corner, person.size
    window = slice(y, y + height), slice(x, x + width)
    whole: Bool = person.people == 1  # [h, w], the frame
    mask = whole & (sample.people[window] == BACKGROUND) if behind else whole
    if mask.sum() < max(1, SHOWN * whole.sum()):
        return sample
    count = len(sample.keypoints)
    image, parts, people = sample.image.copy(), sample.parts.copy(), sample.people.copy()
    image[window] = _mix(person.image, sample.image[window], mask)
    parts[window][mask], people[window][mask] = person.parts[mask], count + 1

    covered = _at(mask, sample.keypoints, corner)  # [n, K]
    old = _hide(sample.keypoints, covered)
    before, after = (np.bincount(m.ravel(), minlength=256)[1 : count + 1] for m in (sample.people, people))  # [n]
    unseen = covered.any(axis=1) & (old[:, :, 2] < 2).all(axis=1)
    buried = np.where(sample.has_mask, after < np.maximum(1, LEAST * before), unseen)  # [n]
    rest = np.isin(people, np.flatnonzero(buried) + 1)  # [H, W]
    parts[rest] = people[rest] = IGNORE
    old[buried] = 0

    new = _hide(person.keypoints, _at(whole & ~mask, person.keypoints, (0, 0)))  # [1, K, 3]
    new[:, :, :2] += np.where(new[:, :, 2:] > 0, corner, 0)
    boxes = np.append(sample.boxes, np.zeros((1, 4), np.float32), axis=0)  # [n + 1, 4]
    changed = np.append(sample.has_mask & (after < before), True)
    boxes[changed] = mask_boxes(people, count + 1)[changed]
    return drop_empty_instances(
        replace(
            sample,
            image=image,
            parts=parts,
            people=people,
            keypoints=np.concatenate([old, new]),
            joints_labelled=np.concatenate([sample.joints_labelled, person.joints_labelled]),
            has_mask=np.append(sample.has_mask, True),
            pseudo_mask=np.append(sample.pseudo_mask, person.pseudo_mask),
            boxes=boxes,
        )
    )


def _place(person: Sample, sample: Sample, rng: np.random.Generator) -> tuple[float, Point]:
    """Return scale and first pixel (x, y) for a person beside a person of the image, mostly on the same ground."""
    x0, y0, x1, y1 = sample.boxes[rng.integers(len(sample.boxes))].tolist()
    factor = math.exp(rng.uniform(*np.log(SIZES)))
    longer = max(TINIEST, factor * max(x1 - x0 + 1, y1 - y0 + 1))
    scale = min(ENLARGED, longer / max(person.size))
    height, width = (scale * length for length in person.size)
    limits = sample.size[1] - 1, sample.size[0] - 1
    x = (x0 + x1) / 2 + rng.choice([-1, 1]) * rng.uniform(*APART) * (x1 - x0 + width) / 2
    # If the other person's feet are outside the image, heads are aligned instead.
    y = y0 + height / 2 if y1 >= limits[1] - 1 else y1 - height / 2
    y += rng.uniform(-0.15, 0.15) * height
    x, y = rng.uniform(0, limits) if rng.random() < ELSEWHERE else np.clip((x, y), 0, limits)
    return scale, (round(x - width / 2), round(y - height / 2))


def _fit(
    person: Sample, size: tuple[int, int], scale: float, corner: Point, flip: bool, colors: Colors, taxonomy: Taxonomy
) -> tuple[Sample, Point]:
    """Scale a person, crop at the border of an image of `size` (height, width), and return the new top left pixel."""
    height, width = (max(round(scale * length), 1) for length in person.size)
    (x, y), (left, top) = corner, (max(corner[0], 0), max(corner[1], 0))
    cut = min(y + height, size[0]) - top, min(x + width, size[1]) - left
    affine: Affine = np.array([[scale, 0.0, x - left], [0.0, scale, y - top]])
    if flip:
        affine[0] = -scale, 0.0, x + scale * person.size[1] - left
    placed = warp(person, affine, cut, colors)
    return (swap_left_right(placed, taxonomy) if flip else placed), (left, top)


def _mix(front: UInt8, back: UInt8, mask: Bool) -> UInt8:
    """Return `front` [h, w, 3] where `mask` holds, else `back`; the outermost pixels of the mask are blended."""
    blurred = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(1)))
    opacity = Image.fromarray(np.where(mask, blurred, 0).astype(np.uint8))
    return np.asarray(Image.composite(Image.fromarray(front), Image.fromarray(back), opacity))


def _at(mask: Bool, keypoints: Float32, corner: Point) -> Bool:
    """Return [n, K]: whether `mask` [h, w], whose first pixel is `corner` (x, y), holds at the pixel of a joint."""
    x, y = (np.rint(keypoints[:, :, axis] - corner[axis]).astype(int) for axis in (0, 1))  # [n, K]
    inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    return (keypoints[:, :, 2] > 0) & inside & mask[y.clip(0, mask.shape[0] - 1), x.clip(0, mask.shape[1] - 1)]


def _hide(keypoints: Float32, covered: Bool) -> Float32:
    hidden = keypoints.copy()
    hidden[covered, 2] = 1
    return hidden
