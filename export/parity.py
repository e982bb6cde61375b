"""Compares the graph in ONNX Runtime and OpenVINO with the torch module, and in batches with itself, on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.decoder.decode import People
from model.onnxruntime import ort
from model.openvino import core, ov
from model.parser import HumanParser

PIXELS = 0.999  # least share of equal pixels in either map
KEYPOINT = 0.1  # greatest distance of a keypoint, canvas pixels

Run = Callable[[NDArray[np.uint8], int], People]  # of a canvas [H, W, 3] and how often it is seen


@dataclass(frozen=True)
class Parity:
    """Differences between one runtime and a reference, over all inputs."""

    runtime: str
    inputs: int  # a canvas with and without horizontal-flip TTA counts twice
    people: int  # found by the reference in all inputs together
    equal_pixels: float  # least share over inputs and both maps
    keypoint_distance: float  # greatest, canvas pixels
    score_difference: float  # greatest, of keypoints, people and parts
    same_people: bool  # the same number everywhere, and the same overflow
    reference: str = "torch"

    @property
    def passed(self) -> bool:
        """Whether all differences are within the tolerances of this module."""
        return self.same_people and self.equal_pixels >= PIXELS and self.keypoint_distance <= KEYPOINT

    def __str__(self) -> str:
        return (
            f"{self.runtime}: {'agrees' if self.passed else 'DISAGREES'} with {self.reference} on {self.inputs} inputs "
            f"with {self.people} people: {self.equal_pixels:.3%} equal pixels, keypoints within "
            f"{self.keypoint_distance:.3f} px, scores within {self.score_difference:.1e}"
        )


def compare_runtimes(parser: HumanParser, graph: Path, inputs: Sequence[NDArray[np.uint8]]) -> list[Parity]:
    """Compare `graph` with `parser` on uint8 canvases [H, W, 3], each with and without horizontal-flip TTA.

    `parser` must hold the weights as the graph stores them: `write_graph` leaves it so.
    """
    seen = [(image, views) for image in inputs for views in (1, 2)]
    expected = [_torch(parser, *case) for case in seen]
    runtimes = {"onnxruntime": onnxruntime_run(graph), "openvino": openvino_run(graph)}
    return [_compare(name, expected, [run(*case) for case in seen]) for name, run in runtimes.items()]


def compare_batch(batched: bytes, graph: Path, images: Sequence[NDArray[np.uint8]]) -> Parity:
    """Compare a graph that takes several images at once with `graph`, which sees each of these canvases alone."""
    run = onnxruntime_run(graph)
    together = People(*_session(batched).run(People._fields, {"image": np.stack(images)}))
    found = [People(*(tensor[i : i + 1] for tensor in together)) for i in range(len(images))]
    report = _compare("in a batch", [run(image, 1) for image in images], found)
    return replace(report, reference=f"{graph.name} on one image at a time")


def onnxruntime_run(graph: Path) -> Run:
    """Return a function that runs a graph in ONNX Runtime on the CPU, to the arrays of `People` with batch axis."""
    session = _session(graph)
    return lambda image, views: People(*session.run(People._fields, {"image": image[None].repeat(views, 0)}))


def _session(graph: Path | bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def openvino_run(graph: Path) -> Run:
    """Return the same for OpenVINO; it compiles the graph for every new size."""
    compiled: dict[tuple[int, ...], ov.CompiledModel] = {}

    def run(image: NDArray[np.uint8], views: int) -> People:
        shape = (views, *image.shape)
        if shape not in compiled:
            model = core.read_model(graph)
            model.reshape(shape)
            compiled[shape] = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        result = compiled[shape]([image[None].repeat(views, 0)])
        return People(*(result[name] for name in People._fields))

    return run


def synthetic_inputs(size: tuple[int, int], seed: int = 0) -> list[NDArray[np.uint8]]:
    """Return canvases that are hard on a decoder: black, white, noise, a mirrored gradient (ties)."""
    height, width = size
    rng = np.random.default_rng(seed)
    half = np.linspace(0, 255, width // 2, dtype=np.uint8)
    ramp = np.broadcast_to(np.concatenate([half, half[::-1]])[None, :, None], (height, width, 3))
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return [np.zeros_like(noise), np.full_like(noise, 255), noise, np.ascontiguousarray(ramp)]


def image_input(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read an image and stretch it to a canvas: its pixels must be natural, its geometry need not."""
    with Image.open(path) as image:
        return np.array(image.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR))


@torch.no_grad()
def _torch(parser: HumanParser, image: NDArray[np.uint8], views: int) -> People:
    return People(*(t.numpy() for t in parser(torch.from_numpy(image[None].repeat(views, 0)))))


def _compare(runtime: str, expected: Sequence[People], found: Sequence[People]) -> Parity:
    equal, distance, score, same, people = 1.0, 0.0, 0.0, True, 0
    for a, b in zip(expected, found, strict=True):
        equal = min(equal, float(np.mean(a.part_map == b.part_map)), float(np.mean(a.person_map == b.person_map)))
        seen = (a.keypoints[..., 2] > 0) & (b.keypoints[..., 2] > 0)
        apart = np.linalg.norm(a.keypoints[..., :2] - b.keypoints[..., :2], axis=-1)
        distance = max(distance, float(apart[seen].max(initial=0.0)))
        for x, y in (
            (a.keypoints[..., 2], b.keypoints[..., 2]),
            (a.person_score, b.person_score),
            (a.part_score, b.part_score),
        ):
            score = max(score, float(np.abs(x - y).max()))
        same &= bool(np.array_equal(a.person_score > 0, b.person_score > 0) and np.array_equal(a.overflow, b.overflow))
        people += int((a.person_score > 0).sum())
    return Parity(runtime, len(expected), people, equal, distance, score, same)
