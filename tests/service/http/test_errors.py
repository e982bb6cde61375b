"""Every way a request can fail, and what the client is told."""

from __future__ import annotations

import gzip
import socket
import struct

import httpx
import numpy as np
import pytest
from PIL import Image

from service.settings import Settings
from tests.service.conftest import encode, running

PNG = {"Content-Type": "image/png"}


def check(response: httpx.Response, status: int, kind: str, mentions: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == f"urn:humanparse:problem:{kind}"
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]
    assert mentions in problem["detail"]
    assert problem["title"]


def test_a_broken_image(client: httpx.Client, png: bytes) -> None:
    check(client.post("/parse", content=png[:-40], headers=PNG), 400, "broken-image", "damaged")


@pytest.mark.parametrize(
    ("content_type", "body", "mentions"),
    [
        ("image/png", b"", "holds no image"),
        ("application/json", b"{", "JSON"),
        ("application/json", b'["image"]', "JSON body is no object"),
        ("application/json", b"{}", "no field 'image'"),
        ("application/json", b'{"image": "QQ==", "image": "QQ=="}', "2 fields 'image': name them 'images' in a form"),
        ("application/json", b'{"image": 3}', "JSON"),
        ("application/json", b'{"image": "%%%"}', "JSON"),
        ("application/json", b"[" * 60_000, "JSON"),
        ("multipart/form-data; boundary=x", b"no boundary here", "multipart"),
        ("multipart/form-data", b"--x", "multipart"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="detail"\r\n\r\nfast\r\n--x--\r\n',
            "no field 'image'",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nabc\r\n',
            "ends before its last boundary",
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data\r\n\r\nabc\r\n" * 32 + b"--x--\r\n",
            "more than 31 parts",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="image"\r\nContent-Transfer-Encoding: BASE64\r\n\r\nQQ==\r\n'
            b"--x--\r\n",
            "Content-Transfer-Encoding base64",
        ),
    ],
)
def test_a_broken_request(client: httpx.Client, content_type: str, body: bytes, mentions: str) -> None:
    response = client.post("/parse", content=body, headers={"Content-Type": content_type})
    check(response, 400, "broken-request", mentions)


@pytest.mark.parametrize(
    ("accept", "params"),
    [
        ("text/html", {}),
        ("application/json;q=0", {}),
        ("image/png", {"layer": "overlay"}),
        ("application/json", {"layer": "parts"}),
        ("image/avif, image/*;q=0", {}),
        ("image/png", {"format": "coco"}),
        ("*/*;q=x", {}),
    ],
)
def test_an_answer_nobody_can_give(client: httpx.Client, png: bytes, accept: str, params: dict[str, str]) -> None:
    response = client.post("/parse", content=png, headers={**PNG, "Accept": accept}, params=params)
    check(response, 406, "not-acceptable", "available as")


def test_a_slow_body(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port)) as sock:
        sock.sendall(b"POST /parse HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\nabc")
        answer = b""
        while not answer.endswith(b"}"):
            answer += sock.recv(65536) or pytest.fail(f"closed after {answer!r}")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"urn:humanparse:problem:slow-body" in answer


@pytest.fixture(scope="module")
def strict(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> httpx.Client:
    key = tmp_path_factory.mktemp("key") / "key"
    key.write_text("s3cret\n")
    update = {"max_bytes": 2000, "max_pixels": 10_000, "api_key_file": key, "detail": "fast"}
    with running(settings.model_copy(update=update)) as (client, _):
        client.headers["Authorization"] = "Bearer s3cret"
        yield client


def test_too_many_bytes(strict: httpx.Client) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (50, 50, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "PNG")
    assert len(data) > 2000
    for request in (
        {"content": data, "headers": PNG},
        {"content": iter([data[:1500], data[1500:]]), "headers": PNG},  # no Content-Length: counted as it comes
        {"files": {"image": data}},
        {"content": b"x" * 100_000, "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"json": {"image": "QUJD" * 1000}},
    ):
        check(strict.post("/parse", **request), 413, "too-many-bytes", "2000 bytes" if "files" in request else "bytes")


def test_too_many_pixels_are_refused_unseen(strict: httpx.Client) -> None:
    data = encode(Image.new("1", (4000, 3000)), "PNG", compress_level=9)
    assert len(data) < 2000
    check(strict.post("/parse", content=data, headers=PNG), 413, "too-many-pixels", "4000 x 3000")


def test_a_key_is_needed_where_one_is_set(strict: httpx.Client) -> None:
    data = encode(Image.new("RGB", (9, 9)), "PNG")
    assert strict.post("/parse", content=data, headers=PNG).status_code == 200
    for wrong in ("", "Bearer", "Bearer s3cre", "Basic s3cret", "Bearer s3cret\xe9"):
        headers = {**PNG, "Authorization": wrong.encode("latin-1")}
        response = strict.post("/parse", content=data, headers=headers)
        check(response, 401, "unauthorized", "Bearer")
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_a_body_of_an_unknown_kind(client: httpx.Client, png: bytes, content_type: str) -> None:
    response = client.post("/parse", content=png, headers={"Content-Type": content_type})
    check(response, 415, "unsupported-media-type", "multipart/form-data")


def test_an_unsupported_format(client: httpx.Client) -> None:
    response = client.post("/parse", content=b"II*\0\x08\0\0\0", headers={"Content-Type": "image/tiff"})
    check(response, 415, "unsupported-format", "supported: JPEG, PNG, WebP")


@pytest.mark.parametrize(
    ("name", "value"), [("masks", "bitmap"), ("layer", "depth"), ("format", "yolo"), ("person", "0")]
)
def test_an_invalid_parameter(client: httpx.Client, png: bytes, name: str, value: str) -> None:
    response = client.post("/parse", content=png, headers=PNG, params={name: value})
    check(response, 422, "invalid-parameter", name)
    assert response.json()["errors"][0]["parameter"] == name


def test_an_unknown_parameter_is_named_with_the_known_ones(client: httpx.Client, png: bytes) -> None:
    known = "masks, layer, format, person, detail"
    responses = {
        "mask": client.post("/parse", content=png, headers=PNG, params={"mask": "none"}),
        "photo": client.post("/parse", files={"photo": png}),
        "detial": client.post("/parse", files={"image": png}, data={"detial": "fast"}),
        "url": client.post("/parse", json={"url": "http://example.org/a.jpg"}),
    }
    for name, response in responses.items():
        check(response, 422, "invalid-parameter", f"{name} is unknown; known: ")
        assert response.json()["errors"][0]["parameter"] == name
        assert name == "mask" or known in response.json()["detail"]


def test_a_parameter_is_given_once(client: httpx.Client, png: bytes) -> None:
    for response in (
        client.post("/parse?detail=fast&detail=high", content=png, headers=PNG),
        client.post("/parse?detail=fast", files={"image": png}, data={"detail": "fast"}),
    ):
        check(response, 422, "invalid-parameter", "detail is given more than once")


@pytest.mark.parametrize(
    ("params", "fields", "mentions"),
    [
        ({"format": "coco", "layer": "parts"}, {}, "format is JSON and layer an image"),
        ({"person": "1"}, {}, "layer=cutout"),
        ({"person": "1"}, {"layer": "people"}, "layer=cutout"),
    ],
)
def test_parameters_that_contradict_each_other(
    client: httpx.Client, png: bytes, params: dict[str, str], fields: dict[str, str], mentions: str
) -> None:
    response = client.post("/parse", files={"image": png}, params=params, data=fields)
    check(response, 422, "invalid-parameter", mentions)


def test_a_form_has_one_image(client: httpx.Client, png: bytes) -> None:
    files = [("image", ("a.png", png)), ("image", ("b.png", png))]
    check(client.post("/parse", files=files), 400, "broken-request", "2 fields 'image': name them 'images' in a form")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_body_is_named(client: httpx.Client, png: bytes, coding: str) -> None:
    response = client.post("/parse", content=gzip.compress(png), headers={**PNG, "Content-Encoding": coding})
    check(response, 415, "unsupported-media-type", f"the Content-Encoding is {coding}: send the body as it is")
    assert client.post("/parse", content=png, headers={**PNG, "Content-Encoding": "identity"}).status_code == 200


@pytest.mark.parametrize("value", ["soon", "-5", "1.5", "١٢", "9" * 10])
def test_an_invalid_deadline(client: httpx.Client, png: bytes, value: str) -> None:
    headers = {**PNG, "X-Deadline-Ms": value.encode()}
    response = client.post("/parse", content=png, headers=headers)
    check(response, 422, "invalid-parameter", "X-Deadline-Ms")


def test_paths_and_methods_that_do_not_exist(client: httpx.Client) -> None:
    for response, status in ((client.get("/nothing"), 404), (client.get("/parse"), 405)):
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["request_id"] == response.headers["x-request-id"]


def test_one_bad_image_does_not_hurt_the_next(client: httpx.Client, png: bytes) -> None:
    for bad in (b"x", png[:100], b"\xff\xd8\xff" + struct.pack(">I", 5)):
        assert client.post("/parse", content=bad, headers=PNG).status_code in (400, 415)
        assert client.post("/parse", content=png, headers=PNG).status_code == 200


def test_outcomes_are_counted(client: httpx.Client, png: bytes) -> None:
    def count(outcome: str) -> float:
        name = f'humanparse_requests_total{{outcome="{outcome}"}} '
        lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name)]
        return float(lines[0].removeprefix(name)) if lines else 0.0

    ok, errors = count("ok"), count("client_error")
    client.post("/parse", content=png, headers=PNG)
    client.post("/parse", content=png, headers=PNG, params={"masks": "bitmap"})
    client.post("/parse", content=b"x", headers=PNG)
    assert (count("ok"), count("client_error")) == (ok + 1, errors + 2)


def test_a_fault_of_the_server_is_a_500_with_the_request_id(
    settings: Settings, png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with running(settings.model_copy(update={"detail": "fast"})) as (client, lifecycle):
        parser, _ = lifecycle.serving()

        def infer(_: object, views: int) -> None:
            raise RuntimeError("secret detail")

        object.__setattr__(parser, "backend", type("Broken", (), {"infer": staticmethod(infer)})())
        response = client.post("/parse", content=png, headers={**PNG, "X-Request-ID": "abc"})
        assert response.status_code == 500
        assert response.headers["x-request-id"] == response.json()["request_id"] == "abc"
        assert "secret" not in response.text
        assert "secret detail" in caplog.text
        assert 'humanparse_requests_total{outcome="server_error"} 1.0' in client.get("/metrics").text
