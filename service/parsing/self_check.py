"""Checks a backend before it serves: the graph's contract, and the outputs that the bundle promises."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.manifest import GOLDEN, Manifest
from model.raw_prediction import RawPrediction
from service.runtimes.types import Backend, BackendError, BatchBackend, Size

# Of the pixels. A network in bf16 moves some at contours and borders: 0.6 to 3 % were measured, most on small canvases.
# A decoder in bf16 moves a fifth to a half to another person.
AGREEMENT = 0.9


def check_contract(output: RawPrediction, size_canvas: tuple[int, int], manifest: Manifest) -> None:
    """Raise BackendError if shapes, types or ranges are not those of the graph contract."""
    people, parts = manifest.decoder.max_people, len(manifest.taxonomy.part_names)
    expected = {
        "part_map": (size_canvas, np.uint8),
        "person_map": (size_canvas, np.uint8),
        "keypoints": ((people, len(manifest.taxonomy.joint_names), 3), np.float32),
        "person_score": ((people,), np.float32),
        "part_score": ((people, parts), np.float32),
    }
    for name, (shape, dtype) in expected.items():
        tensor = getattr(output, name)
        if tensor.shape != shape or tensor.dtype != dtype:
            raise BackendError(
                f"output {name} is {tensor.dtype} {tensor.shape}, the manifest promises {np.dtype(dtype)} {shape}: "
                "export the bundle again"
            )
    if output.part_map.max() > parts or output.person_map.max() > people:
        raise BackendError("a map names a part or person beyond the manifest's: export the bundle again")


class Golden(NamedTuple):
    """A canvas uint8 [H, W, 3] and the maps uint8 [H, W] that the export computed for it."""

    image: NDArray[np.uint8]
    part_map: NDArray[np.uint8]
    person_map: NDArray[np.uint8]

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.image.shape[0], self.image.shape[1]


def read_golden(bundle: Path, detail: str) -> Golden | None:
    """Return the golden maps of a level, `{detail}_image` and so on of `golden.npz`; None if the bundle has none."""
    file = bundle / GOLDEN
    if not file.is_file():
        return None
    with np.load(file) as arrays:
        return Golden(*(arrays[f"{detail}_{name}"] for name in Golden._fields)) if f"{detail}_image" in arrays else None


def check_golden(backend: Backend, golden: Golden, manifest: Manifest, detail: str) -> None:
    """Compare with the golden maps, alone and beside another image where the runtime takes batches.

    Raises BackendError if too many pixels differ, or the graph contract is broken.
    """
    outputs = {"": backend.infer(golden.image, manifest.views_at(detail))}
    if isinstance(backend, BatchBackend) and backend.max_batch > 1 and manifest.views_at(detail) == 1:
        outputs[" in a batch"] = backend.infer_batch(np.stack([golden.image[:, ::-1], golden.image]))[1]
    for how, output in outputs.items():
        check_contract(output, golden.size, manifest)
        for name in ("part_map", "person_map"):
            found, expected = getattr(output, name), getattr(golden, name)
            if name == "person_map":
                found = _renamed(found, expected)
            share = _agreement(found, expected)
            if share < AGREEMENT:
                raise BackendError(
                    f"{backend.name} in {backend.precision} computes another {name}{how} than the bundle promises "
                    f"({share:.1%} of the pixels agree): try HUMANPARSE_PRECISION=f32 or another HUMANPARSE_BACKEND"
                )


def _renamed(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rename each person of `found` after the person of `expected` with the most pixels in common, one to one.

    Slots are sorted by score: of two people with nearly the same score rounding decides who comes first.
    """
    shared = np.zeros((256, 256), np.int64)
    np.add.at(shared, (found, expected), 1)
    shared[0], shared[:, 0] = 0, 0
    names = np.full(256, 255, np.uint8)  # people with no partner
    names[0] = 0
    while shared.any():
        own, other = np.unravel_index(shared.argmax(), shared.shape)
        names[own] = other
        shared[own], shared[:, other] = 0, 0
    return names[found]


def _agreement(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    """Return the share of equal pixels among those that are not 0 in both maps."""
    either = (found > 0) | (expected > 0)
    return float((found == expected)[either].mean()) if either.any() else 1.0
