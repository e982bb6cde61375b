"""Writes responses as COCO data sets, which annotation tools import: instances of many images, panoptic of one."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from model.id_runs import PERSON_SHIFT
from model.taxonomy import Taxonomy

PERSON = 1  # COCO's category id; part p has 1 + p


def coco_dataset(
    responses: Iterable[Mapping[str, Any]], taxonomy: Taxonomy, model: Mapping[str, str]
) -> dict[str, Any]:
    """Return images, categories and annotations; `responses` have a `file_name` and masks as RLE.

    People and parts are annotations; `person_id` of a part is the annotation of its person. `score` is ours.
    """
    images, annotations = [], list[dict[str, Any]]()
    for image_id, response in enumerate(responses, start=1):
        images.append(_image(image_id, response))
        for person in response["people"]:
            person_id = len(annotations) + 1
            keypoints = {
                "keypoints": person["keypoints"],
                "num_keypoints": sum(v > 0 for v in person["keypoints"][2::3]),
                "keypoint_scores": person["keypoint_scores"],
            }
            annotations.append(_annotation(person_id, image_id, PERSON, person) | keypoints)
            for part in person["parts"]:
                annotation = _annotation(len(annotations) + 1, image_id, PERSON + part["category_id"], part)
                annotations.append(annotation | {"person_id": person_id})
    return {
        "info": _info("people, parts and keypoints", model),
        "model": dict(model),
        "images": images,
        "annotations": annotations,
        "categories": _categories(taxonomy),
    }


def coco_panoptic(
    response: Mapping[str, Any], png: bytes, taxonomy: Taxonomy, model: Mapping[str, str]
) -> dict[str, Any]:
    """Return the image's parts as segments; `png` is the map of their ids, which stands in the annotation as base64.

    A segment is one part of one person: id = part + 256 * person, the pixel's R + 256 G. Pixels of nobody are 0, void.
    """
    segments = [
        {
            "id": part["category_id"] | person["id"] << PERSON_SHIFT,
            "category_id": PERSON + part["category_id"],
            "area": part["area"],
            "bbox": part["bbox"],
            "iscrowd": 0,
            "score": part["score"],
            "person_id": person["id"],
        }
        for person in response["people"]
        for part in person["parts"]
    ]
    annotation = {
        "image_id": 1,
        "file_name": f"{PurePath(response['file_name']).stem}.png",
        "segments_info": segments,
        "png": base64.b64encode(png).decode(),
    }
    _, *parts = _categories(taxonomy)
    colors = [{"isthing": 1, "color": list(color)} for color in taxonomy.palette]
    return {
        "info": _info("parts of people", model),
        "model": dict(model),
        "images": [_image(1, response)],
        "annotations": [annotation],
        "categories": [part | color for part, color in zip(parts, colors, strict=True)],
    }


def _info(what: str, model: Mapping[str, str]) -> dict[str, str]:
    return {"description": f"{what} found by {model['name']} {model['version']}"}


def _image(id_: int, response: Mapping[str, Any]) -> dict[str, Any]:
    size = response["image"]
    return {"id": id_, "file_name": response["file_name"], "width": size["width"], "height": size["height"]}


def _annotation(id_: int, image_id: int, category_id: int, thing: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": id_,
        "image_id": image_id,
        "category_id": category_id,
        "score": thing["score"],
        "bbox": thing["bbox"],
        "area": thing["area"],
        "segmentation": thing["segmentation"] or [],  # a person may have keypoints alone
        "iscrowd": 0,
    }


def _categories(taxonomy: Taxonomy) -> list[dict[str, Any]]:
    person = {
        "id": PERSON,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(taxonomy.joint_names),
        "skeleton": [[a + 1, b + 1] for a, b in taxonomy.tree_limbs],
    }
    parts = [
        {"id": PERSON + i, "name": name, "supercategory": "body part"}
        for i, name in enumerate(taxonomy.part_names, start=1)
    ]
    return [person, *parts]
