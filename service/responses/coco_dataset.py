"""Joins the responses of many images in one COCO data set, which annotation tools import and pycocotools loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
        size = response["image"]
        images.append(
            {"id": image_id, "file_name": response["file_name"], "width": size["width"], "height": size["height"]}
        )
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
    info = {"description": f"people, parts and keypoints found by {model['name']} {model['version']}"}
    return {
        "info": info,
        "model": dict(model),
        "images": images,
        "annotations": annotations,
        "categories": _categories(taxonomy),
    }


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
