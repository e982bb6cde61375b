"""POST /parse over a real socket, on images whose right answer is known."""

from __future__ import annotations

import base64
import io
import json
import re

import httpx
import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from pycocotools import mask as coco
from pycocotools.coco import COCO

from model.taxonomy import PASCAL_PERSON_PART
from service.responses.schemas import ParseResponse
from tests.bundles import figure_image
from tests.service.conftest import SIZE, TWO_PEOPLE, encode

EDGE = 1  # image pixels that resampling may move a contour
AT_CORNERS = 2


def parse(client: httpx.Client, data: bytes, accept: str = "*/*", **params: str) -> httpx.Response:
    headers = {"Content-Type": "image/png", "Accept": accept}
    response = client.post("/parse", content=data, headers=headers, params=params)
    assert response.status_code == 200, response.text
    return response


def is_close(box: list[float], corners: tuple[int, int, int, int]) -> bool:
    x1, y1, x2, y2 = corners
    return bool(np.abs(np.array(box) - (x1, y1, x2 - x1, y2 - y1)).max() <= AT_CORNERS * EDGE)


def test_two_people_are_found_where_they_are(client: httpx.Client, png: bytes) -> None:
    answer = parse(client, png).json()
    ParseResponse.model_validate(answer)
    assert answer["image"] == {"width": 240, "height": 120, "exif_transposed": False}
    assert answer["model"] == {
        "name": "figures", "version": "1", "backend": "openvino", "precision": "f32", "detail": "high",
        "canvas": [256, 384],
    }  # fmt: skip
    assert (answer["truncated"], answer["warnings"]) == (False, [])
    red, blue = answer["people"]
    assert [(p["id"], p["score"]) for p in (red, blue)] == [(1, 0.9), (2, 0.8)]
    assert is_close(red["bbox"], (10, 20, 60, 100))
    assert is_close(blue["bbox"], (150, 10, 200, 110))
    torso = next(p for p in blue["parts"] if p["category_id"] == 3)
    assert (torso["name"], torso["score"]) == (PASCAL_PERSON_PART.part_names[2], 0.75)
    assert abs(torso["area"] - 50 * 100) <= 2 * 150 * EDGE

    # The first joint is the centroid; the second lies 20 canvas pixels, 12.5 image pixels, below; no other exists.
    x, y, v, x2, y2, v2, *rest = red["keypoints"]
    assert (abs(x - 34.5), abs(y - 59.5)) <= (EDGE, EDGE)
    assert (v, v2) == (2, 2)
    assert (x2 - x, y2 - y) == pytest.approx((0, 12.5), abs=0.2)
    assert not any(rest)
    assert red["keypoint_scores"] == [1.0, 0.5] + [0.0] * 12


def test_an_image_may_ask_for_another_level_of_detail(client: httpx.Client, png: bytes) -> None:
    answers = {detail: parse(client, png, detail=detail).json() for detail in ("fast", "standard", "high", "finest")}
    canvases = {detail: (a["model"]["detail"], a["model"]["canvas"]) for detail, a in answers.items()}
    assert canvases == {
        "fast": ("fast", [64, 96]), "standard": ("standard", [128, 192]), "high": ("high", [256, 384]),
        "finest": ("finest", [256, 384]),
    }  # fmt: skip
    for answer in answers.values():
        for person, corners in zip(answer["people"], ((10, 20, 60, 100), (150, 10, 200, 110)), strict=True):
            x1, y1, x2, y2 = corners
            assert np.abs(np.array(person["bbox"]) - (x1, y1, x2 - x1, y2 - y1)).max() <= 6  # 2 of the coarsest pixels
    response = client.post("/parse", params={"detail": "closest"}, content=png, headers={"Content-Type": "image/png"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == "detail"
    assert response.json()["detail"] == "detail=closest is not served here: choose of fast, standard, high, finest"


def test_people_below_a_score_are_left_out_of_json_and_pictures(client: httpx.Client, png: bytes) -> None:
    everybody, sure, nobody = (parse(client, png, min_score=least).json()["people"] for least in ("0", "0.85", "1"))
    assert [person["score"] for person in everybody] == [0.9, 0.8]
    assert sure == everybody[:1]
    assert nobody == []
    assert parse(client, png, min_score="0.9").json()["people"] == sure  # in the graph's float32 it is a little less
    maps = [
        np.asarray(Image.open(io.BytesIO(parse(client, png, "image/png", layer=layer, min_score="0.85").content)))
        for layer in ("people", "parts")
    ]
    assert [np.count_nonzero(pixels) for pixels in maps] == [everybody[0]["area"]] * 2


@pytest.mark.parametrize("least", ["1.5", "-0.1", "nan", "half"])
def test_a_score_that_is_none_is_refused(client: httpx.Client, png: bytes, least: str) -> None:
    response = client.post("/parse", params={"min_score": least}, content=png, headers={"Content-Type": "image/png"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == "min_score"


def test_masks_are_coco_run_lengths_of_the_whole_image(client: httpx.Client, png: bytes) -> None:
    people = parse(client, png).json()["people"]
    for person in people:
        masks = [person["segmentation"], *(p["segmentation"] for p in person["parts"])]
        union = coco.merge([{**m, "counts": m["counts"].encode()} for m in masks[1:]])
        assert union["counts"].decode() == masks[0]["counts"]
        assert all(m["size"] == list(SIZE) for m in masks)
        assert person["area"] == coco.area(union) == sum(p["area"] for p in person["parts"])
        assert person["bbox"] == coco.toBbox(union).tolist()


def test_masks_can_be_polygons_or_left_out(client: httpx.Client, png: bytes) -> None:
    rle, polygon, none = (parse(client, png, masks=m).json()["people"] for m in ("rle", "polygon", "none"))
    for with_rle, with_polygon, without in zip(rle, polygon, none, strict=True):
        things = zip([with_rle, *with_rle["parts"]], [with_polygon, *with_polygon["parts"]], strict=True)
        for a, b in things:
            decoded = coco.merge(coco.frPyObjects(b["segmentation"], *SIZE))
            assert decoded["counts"].decode() == a["segmentation"]["counts"]
        assert without["parts"] == [{**part, "segmentation": None} for part in with_rle["parts"]]
        assert without["segmentation"] is None


@pytest.mark.parametrize("masks", ["rle", "polygon"])
def test_pycocotools_loads_the_people_as_results(
    client: httpx.Client, png: bytes, masks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = COCO()
    image = {"id": 7, "width": SIZE[1], "height": SIZE[0]}
    truth.dataset = {"info": {}, "images": [image], "categories": [{"id": 1, "name": "person"}], "annotations": []}
    truth.createIndex()
    people = parse(client, png, masks=masks).json()["people"]
    results = truth.loadRes(
        [{k: p[k] for k in ("bbox", "score", "segmentation")} | {"image_id": 7, "category_id": 1} for p in people]
    )
    for annotation, person in zip(results.loadAnns(results.getAnnIds()), people, strict=True):
        assert results.annToMask(annotation).sum() == person["area"]


def test_label_maps_agree_with_the_json(client: httpx.Client, png: bytes) -> None:
    maps = {}
    for layer in ("parts", "people", "panoptic"):
        response = parse(client, png, layer=layer)
        assert response.headers["content-type"] == "image/png"
        maps[layer] = np.asarray(Image.open(io.BytesIO(response.content))).astype(int)
    assert maps["parts"].shape == maps["people"].shape == SIZE
    assert np.array_equal(maps["panoptic"][..., 0], maps["parts"])
    assert np.array_equal(maps["panoptic"][..., 1], maps["people"])
    for person in parse(client, png).json()["people"]:
        assert (maps["people"] == person["id"]).sum() == person["area"]
        for part in person["parts"]:
            here = (maps["people"] == person["id"]) & (maps["parts"] == part["category_id"])
            assert here.sum() == part["area"]


def test_label_maps_carry_the_palette(client: httpx.Client, png: bytes) -> None:
    image = Image.open(io.BytesIO(parse(client, png, accept="image/png").content))
    assert image.mode == "P"
    shown = np.asarray(image.convert("RGB"))
    assert tuple(shown[60, 170]) == PASCAL_PERSON_PART.palette[2]
    assert tuple(shown[5, 5]) == (0, 0, 0)


@pytest.mark.parametrize(("accept", "format_"), [("image/jpeg", "JPEG"), ("image/webp", "WEBP")])
def test_the_overlay_is_the_image_with_colours(
    client: httpx.Client, png: bytes, rgb: np.ndarray, accept: str, format_: str
) -> None:
    response = parse(client, png, accept=accept)
    picture = Image.open(io.BytesIO(response.content))
    assert (picture.format, picture.size) == (format_, (SIZE[1], SIZE[0]))
    change = np.abs(np.asarray(picture.convert("RGB")).astype(int) - rgb).max(axis=-1)
    assert change[60, 170] > 40
    assert change[:, 90:140].max() < 25


def test_layer_overlay_alone_gives_a_jpeg(client: httpx.Client, png: bytes) -> None:
    assert parse(client, png, layer="overlay").headers["content-type"] == "image/jpeg"


def test_every_way_to_send_an_image_gives_the_same_people(client: httpx.Client, png: bytes) -> None:
    text = base64.b64encode(png).decode()
    answers = [
        parse(client, png),
        client.post("/parse", content=png, headers={"Content-Type": "application/octet-stream"}),
        client.post("/parse", data={"masks": "rle"}, files={"image": ("p.png", png, "image/png")}),
        client.post("/parse", json={"image": text}),
        client.post("/parse", json={"image": f"data:image/png;base64,{text}"}),
        client.post("/parse", content=(png[i : i + 100] for i in range(0, len(png), 100)),
                    headers={"Content-Type": "image/png"}),
    ]  # fmt: skip
    assert [a.status_code for a in answers] == [200] * 6
    people = [a.json()["people"] for a in answers]
    assert len(people[0]) == 2
    assert all(p == people[0] for p in people)


def test_parameters_may_stand_beside_the_image(client: httpx.Client, png: bytes) -> None:
    text = base64.b64encode(png).decode()
    for response in (
        client.post("/parse", files={"image": png}, data={"detail": "fast", "masks": "none"}),
        client.post("/parse", json={"image": text, "detail": "fast", "masks": "none", "layer": None}),
        client.post("/parse", params={"masks": "none"}, files={"image": png}, data={"detail": "fast"}),
    ):
        assert response.json()["model"]["detail"] == "fast"
        assert response.json()["people"][0]["segmentation"] is None
    layer = client.post("/parse", files={"image": png}, data={"layer": "people"})
    assert Image.open(io.BytesIO(layer.content)).mode == "P"


def test_a_sideways_image_is_answered_upright(client: httpx.Client, rgb: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    stored = Image.fromarray(rgb).transpose(Image.Transpose.ROTATE_90)
    answer = parse(client, encode(stored, "JPEG", quality=98, subsampling=0, exif=exif)).json()
    assert answer["image"] == {"width": 240, "height": 120, "exif_transposed": True}
    assert is_close(answer["people"][0]["bbox"], (10, 20, 60, 100))


def test_an_empty_image_has_nobody(client: httpx.Client) -> None:
    data = encode(Image.new("RGB", (50, 30)), "PNG")
    assert parse(client, data).json()["people"] == []
    assert not np.asarray(Image.open(io.BytesIO(parse(client, data, layer="people").content))).any()
    assert parse(client, data, layer="overlay").content


def test_people_beyond_the_slots_are_told(client: httpx.Client) -> None:
    rgb = figure_image((64, 96), (1, 1, (10, 10, 30, 50)))
    rgb[40:60, 60:90] = (255, 0, 255)
    answer = parse(client, encode(Image.fromarray(rgb), "PNG")).json()
    assert answer["truncated"] is True
    assert len(answer["warnings"]) == 1
    assert answer["warnings"][0].startswith("about 3 more people are seen than these weights can tell apart")


def test_a_jpeg_without_its_end_marker_is_answered_with_a_warning(client: httpx.Client, rgb: np.ndarray) -> None:
    data = encode(Image.fromarray(rgb), "JPEG", quality=98, subsampling=0)
    whole, cut = parse(client, data).json(), parse(client, data[:-2]).json()
    assert (whole["warnings"], cut["warnings"]) == (
        [],
        ["the JPEG file lacks its end marker; all its pixels are there"],
    )
    assert cut["people"] == whole["people"]


def test_header_json_and_histograms_tell_the_same_times(client: httpx.Client, png: bytes) -> None:
    before = sums(client)
    response = parse(client, png)
    timings = response.json()["timings_ms"]
    assert list(timings) == ["decode", "queue", "infer", "encode", "total"]
    assert timings["total"] >= sum(timings[s] for s in ("decode", "infer", "encode"))
    header = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["server-timing"]))
    assert {k: float(v) for k, v in header.items()} == timings
    after = sums(client)
    assert {k: (after[k] - before[k]) * 1e3 for k in timings} == pytest.approx(timings, abs=1e-6)


def sums(client: httpx.Client) -> dict[str, float]:
    found = {"decode": 0.0, "queue": 0.0, "infer": 0.0, "encode": 0.0, "total": 0.0}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name == "humanparse_stage_duration_seconds_sum":
                found[sample.labels["stage"]] = sample.value
            if sample.name == "humanparse_request_duration_seconds_sum":
                found["total"] = sample.value
    return found


def test_numbers_are_short(client: httpx.Client, png: bytes) -> None:
    for number in re.findall(r"\d+\.(\d+)", json.dumps(parse(client, png).json()["people"])):
        assert len(number) <= 4


def test_every_part_lies_in_the_figure_it_was_drawn_in(client: httpx.Client, png: bytes) -> None:
    people = {p["id"]: {q["category_id"]: q for q in p["parts"]} for p in parse(client, png).json()["people"]}
    for person, part, corners in TWO_PEOPLE:
        assert is_close(people[person][part]["bbox"], corners)
