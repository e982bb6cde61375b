"""Fields `images` of one form: each with a response or a problem of its own."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from PIL import Image

from service.http.problem_response import URN
from service.settings import Settings
from tests.service.conftest import encode, running
from tests.service.http.test_errors import check


def post(client: httpx.Client, *files: tuple[str, bytes], **fields: str) -> httpx.Response:
    return client.post("/parse", files=[("images", file) for file in files], data=fields)


def counted(client: httpx.Client) -> dict[str, float]:
    prefix = 'humanparse_requests_total{outcome="'
    lines = [line[len(prefix) :].split('"} ') for line in client.get("/metrics").text.splitlines() if prefix in line]
    return {outcome: float(number) for outcome, number in lines}


def test_each_has_its_response_or_problem_in_order(client: httpx.Client, png: bytes) -> None:
    nobody = encode(Image.new("RGB", (50, 30)), "PNG")
    before = counted(client)
    response = post(client, ("a.png", png), ("b.png", png[:-40]), ("c/c.png", nobody), ("d.txt", b"x"), ("", b""))
    assert response.status_code == 200
    assert response.headers["server-timing"].startswith("total;dur=")
    results = response.json()["results"]
    assert [(r["index"], r["file_name"], r["status"]) for r in results] == [
        (0, "a.png", 200), (1, "b.png", 400), (2, "c/c.png", 200), (3, "d.txt", 415), (4, "", 415),
    ]  # fmt: skip
    alone = client.post("/parse", content=png, headers={"Content-Type": "image/png"}).json()
    assert results[0]["response"]["people"] == alone["people"] != []
    assert results[0]["response"]["timings_ms"]["total"] > 0
    assert results[2]["response"]["people"] == []
    assert results[1]["problem"]["type"] == f"{URN}broken-image"
    ids = {result.get("response", result.get("problem"))["request_id"] for result in results}
    assert ids == {response.json()["request_id"]} == {response.headers["x-request-id"]}
    after = counted(client)
    assert (after["ok"] - before["ok"], after["client_error"] - before["client_error"]) == (3, 3)


def test_one_in_images_has_the_same_form(client: httpx.Client, png: bytes) -> None:
    (result,) = post(client, ("a.png", png), format="coco", detail="fast").json()["results"]
    assert result["response"]["images"][0]["file_name"] == "a.png"


def test_more_images_than_the_queue_holds_do_not_fill_it(client: httpx.Client, png: bytes) -> None:
    results = post(client, *(("a.png", png) for _ in range(12)), detail="fast").json()["results"]
    assert [result["status"] for result in results] == [200] * 12


def test_a_picture_is_for_one_image(client: httpx.Client, png: bytes) -> None:
    check(post(client, ("a.png", png), layer="parts"), 406, "not-acceptable", "send one image for a picture")


def test_image_and_images_do_not_mix(client: httpx.Client, png: bytes) -> None:
    response = client.post("/parse", files=[("image", png), ("images", png)])
    check(response, 400, "broken-request", "'image' and 'images': send one kind")


def test_number_and_bytes_are_limited(settings: Settings, png: bytes) -> None:
    update = {"max_images": 2, "max_bytes": 2 * len(png) + 10, "detail": "fast"}
    with running(settings.model_copy(update=update)) as (client, _):
        assert post(client, ("", png), ("", png)).status_code == 200
        check(post(client, ("", b"x"), ("", b"x"), ("", b"x")), 413, "too-many-images", "3 images, at most 2")
        check(post(client, ("", png), ("", png + b"x" * 11)), 413, "too-many-bytes", "send fewer at once")


def test_a_fault_at_one_image_is_its_own(settings: Settings, png: bytes, caplog: pytest.LogCaptureFixture) -> None:
    nobody = encode(Image.new("RGB", (50, 30)), "PNG")
    with running(settings.model_copy(update={"detail": "fast"})) as (client, lifecycle):
        parser, _ = lifecycle.serving()
        backend = parser.backend

        def break_at_people(canvas: np.ndarray, views: int) -> object:
            if (canvas == (220, 21, 40)).all(axis=-1).any():
                raise RuntimeError("secret detail")
            return backend.infer(canvas, views)

        faulty = SimpleNamespace(infer=break_at_people, name=backend.name, precision=backend.precision)
        object.__setattr__(parser, "backend", faulty)
        response = post(client, ("", nobody), ("", png), ("", nobody))
        assert [result["status"] for result in response.json()["results"]] == [200, 500, 200]
        assert "secret" not in response.text
        assert "secret detail" in caplog.text
