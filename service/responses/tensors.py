"""Writes a response as named tensors, the outputs of the model in the Open Inference Protocol (KServe v2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.id_runs import PART_MASK, PERSON_SHIFT
from model.manifest import Manifest
from service.parsing.parser import ImageParser, Parsed
from service.responses.encoding import build_response

RESPONSE = "response"


class TensorSpec(NamedTuple):
    """Name, datatype of the protocol and shape of a tensor; -1 is any number: of people, or of the image's pixels."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def output_specs(manifest: Manifest) -> list[TensorSpec]:
    """Return the outputs that there are."""
    joints, parts = len(manifest.taxonomy.joint_names), len(manifest.taxonomy.part_names)
    return [
        TensorSpec("person_id", "INT32", (-1,)),  # value of the person's pixels in person_map
        TensorSpec("person_score", "FP32", (-1,)),
        TensorSpec("bbox", "FP32", (-1, 4)),  # x, y, width, height
        TensorSpec("keypoints", "FP32", (-1, joints, 3)),  # x, y, COCO's v
        TensorSpec("keypoint_scores", "FP32", (-1, joints)),
        TensorSpec("part_score", "FP32", (-1, parts)),  # 0 for a part that the person does not show
        TensorSpec("part_map", "UINT8", (-1, -1)),  # [height, width], category ids
        TensorSpec("person_map", "UINT8", (-1, -1)),
        TensorSpec(RESPONSE, "BYTES", (1,)),  # the JSON of POST /parse, without its times
    ]


def output_tensors(
    parser: ImageParser, parsed: Parsed, names: Iterable[str], request_id: str
) -> dict[str, NDArray[Any] | bytes]:
    """Return the outputs of some names, in their order, with the shapes of `output_specs`; `response` is bytes."""
    wanted = list(names)
    response = build_response(parser, parsed, "rle" if RESPONSE in wanted else "none", request_id)
    people, taxonomy = response.people, parser.manifest.taxonomy
    joints, parts = len(taxonomy.joint_names), len(taxonomy.part_names)
    part_score = np.zeros((len(people), parts), dtype=np.float32)
    for row, person in enumerate(people):
        for part in person.parts:
            part_score[row, part.category_id - 1] = part.score
    ids = parsed.id_runs().painted() if {"part_map", "person_map"} & set(wanted) else np.zeros((0, 0), np.uint16)
    tensors: dict[str, NDArray[Any] | bytes] = {
        "person_id": np.array([p.id for p in people], np.int32),
        "person_score": np.array([p.score for p in people], np.float32),
        "bbox": np.array([p.bbox for p in people], np.float32).reshape(-1, 4),
        "keypoints": np.array([p.keypoints for p in people], np.float32).reshape(-1, joints, 3),
        "keypoint_scores": np.array([p.keypoint_scores for p in people], np.float32).reshape(-1, joints),
        "part_score": part_score,
        "part_map": (ids & PART_MASK).astype(np.uint8),
        "person_map": (ids >> PERSON_SHIFT).astype(np.uint8),
        RESPONSE: response.model_dump_json().encode() if RESPONSE in wanted else b"",
    }
    return {name: tensors[name] for name in wanted}
