"""The Open Inference Protocol by hand; tritonclient, unchanged, where it is installed."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
from PIL import Image

from service.settings import Settings
from tests.service.conftest import SIZE, encode, running

MODEL = "/v2/models/figures"
HEADER = "Inference-Header-Content-Length"
Record = dict[str, Any]


class Expected(NamedTuple):
    """What POST /parse says of the image."""

    people: list[Record]
    part_map: np.ndarray
    person_map: np.ndarray


@pytest.fixture(scope="module")
def expected(client: httpx.Client, png: bytes) -> Expected:
    def parse(**params: str) -> httpx.Response:
        return client.post("/parse", content=png, headers={"Content-Type": "image/png"}, params=params)

    maps = [np.asarray(Image.open(io.BytesIO(parse(layer=layer).content))) for layer in ("parts", "people")]
    return Expected(parse().json()["people"], *maps)


def in_json(png: bytes, **more: Any) -> Record:
    return {"inputs": [image_input(data=[base64.b64encode(png).decode()])], **more}


def image_input(**fields: Any) -> Record:
    return {"name": "image", "datatype": "BYTES", "shape": [1], **fields}


def pixel_input(rgb: np.ndarray, **fields: Any) -> Record:
    size = {"binary_data_size": rgb.nbytes}
    return {"name": "pixels", "datatype": "UINT8", "shape": list(rgb.shape), "parameters": size, **fields}


def send(client: httpx.Client, message: Record, binary: bytes = b"", **headers: str) -> httpx.Response:
    text = json.dumps(message).encode()
    return client.post(f"{MODEL}/infer", content=text + binary, headers={HEADER: str(len(text)), **headers})


def check_tensors(tensors: dict[str, np.ndarray], expected: Expected) -> None:
    people = expected.people
    np.testing.assert_array_equal(tensors["part_map"], expected.part_map)
    np.testing.assert_array_equal(tensors["person_map"], expected.person_map)
    assert tensors["person_id"].tolist() == [p["id"] for p in people] == [1, 2]
    for name, key in (("person_score", "score"), ("bbox", "bbox"), ("keypoint_scores", "keypoint_scores")):
        np.testing.assert_allclose(tensors[name], [p[key] for p in people], rtol=1e-6)
    np.testing.assert_allclose(tensors["keypoints"].reshape(2, -1), [p["keypoints"] for p in people], rtol=1e-6)
    for scores, person in zip(tensors["part_score"], people, strict=True):
        shown = {part["category_id"]: part["score"] for part in person["parts"]}
        assert scores.tolist() == pytest.approx([shown.get(i, 0) for i in range(1, len(scores) + 1)])
    assert json.loads(tensors["response"][0])["people"] == people


def test_health_and_metadata(client: httpx.Client) -> None:
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/health/live", "/v2/health/ready", f"{MODEL}/ready", f"{MODEL}/versions/1/ready"):
        assert (client.get(path).status_code, client.head(path).status_code) == (200, 200)
    model = client.get(MODEL).json()
    assert model == client.get(f"{MODEL}/versions/1").json()
    assert (model["name"], model["versions"]) == ("figures", ["1"])
    assert model["inputs"][0] == {"name": "image", "datatype": "BYTES", "shape": [1]}
    assert {"name": "keypoints", "datatype": "FP32", "shape": [-1, 14, 3]} in model["outputs"]


def test_tensors_in_json(client: httpx.Client, png: bytes, expected: Expected) -> None:
    response = client.post(f"{MODEL}/versions/1/infer", json=in_json(png, id="me-1"))
    answer = response.json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("figures", "1", "me-1")
    assert "infer;dur=" in response.headers["server-timing"]
    described = {o["name"]: o for o in client.get(MODEL).json()["outputs"]}
    assert [o["name"] for o in answer["outputs"]] == list(described)
    tensors = {}
    for output in answer["outputs"]:
        spec = described[output["name"]]
        assert output["datatype"] == spec["datatype"]
        assert all(there in (-1, here) for here, there in zip(output["shape"], spec["shape"], strict=True))
        tensors[output["name"]] = np.array(output["data"]).reshape(output["shape"])
    check_tensors(tensors, expected)


def test_tensors_as_bytes(client: httpx.Client, rgb: np.ndarray, expected: Expected) -> None:
    outputs = [{"name": "person_map", "parameters": {"binary_data": True}}, {"name": "person_score"}]
    response = send(client, {"inputs": [pixel_input(rgb)], "outputs": outputs}, rgb.tobytes())
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers[HEADER])
    first, second = json.loads(response.content[:length])["outputs"]
    assert first["parameters"]["binary_data_size"] == len(response.content) - length
    found = np.frombuffer(response.content[length:], np.uint8).reshape(first["shape"])
    np.testing.assert_array_equal(found, expected.person_map)
    assert second["data"] == pytest.approx([0.9, 0.8])


def test_nobody_is_tensors_without_rows(client: httpx.Client) -> None:
    answer = client.post(f"{MODEL}/infer", json=in_json(encode(Image.new("RGB", (50, 30)), "PNG"))).json()
    shapes = {o["name"]: o["shape"] for o in answer["outputs"]}
    assert (shapes["keypoints"], shapes["bbox"], shapes["person_map"]) == ([0, 14, 3], [0, 4], [30, 50])


def test_a_level_of_detail_may_be_asked_for(client: httpx.Client, png: bytes) -> None:
    outputs = [{"name": "response"}]
    message = in_json(png, parameters={"detail": "fast"}, outputs=outputs)
    (output,) = client.post(f"{MODEL}/infer", json=message).json()["outputs"]
    assert json.loads(output["data"][0])["model"]["detail"] == "fast"


RGB = np.zeros((4, 5, 3), np.uint8)
ELEMENT = (3).to_bytes(4, "little") + b"abc"


@pytest.mark.parametrize(
    ("message", "binary", "status", "mentions"),
    [
        ({}, b"", 422, "inputs: Field required"),
        ({"inputs": []}, b"", 422, "inputs"),
        ({"inputs": [image_input(data=["QQ=="])] * 2}, b"", 422, "inputs"),
        ({"inputs": [image_input(data=["QQ=="], name="photo")]}, b"", 422, "inputs.0.name"),
        ({"inputs": [image_input(data=["QQ=="])], "parameters": {"detial": "fast"}}, b"", 422, "parameters.detial"),
        ({"inputs": [image_input(data=["QQ=="])], "parameters": {"detail": "closest"}}, b"", 422, "detail=closest"),
        ({"inputs": [image_input(data=["QQ=="])], "outputs": [{"name": "depth"}]}, b"", 422, "'depth' is unknown"),
        ({"inputs": [image_input(data=["QQ=="], shape=[2])]}, b"", 400, "image is BYTES [2]"),
        ({"inputs": [image_input(data=["%%"])]}, b"", 400, "no base64"),
        ({"inputs": [image_input(data=[3])]}, b"", 400, "no single text of base64"),
        ({"inputs": [image_input(data=["QQ=="])]}, b"abc", 400, "3 bytes follow"),
        ({"inputs": [image_input()]}, b"", 400, "no single element"),
        ({"inputs": [image_input(parameters={"binary_data_size": 8})]}, ELEMENT + b"d", 400, "no single element"),
        ({"inputs": [image_input(parameters={"binary_data_size": 7})]}, ELEMENT, 415, "supported: JPEG"),
        ({"inputs": [pixel_input(RGB, parameters={}, data=[0] * 60)]}, b"", 400, "pixels go as binary data"),
        ({"inputs": [pixel_input(RGB, shape=[5, 4, 4])]}, RGB.tobytes(), 400, "pixels are UINT8 [5, 4, 4]"),
        ({"inputs": [pixel_input(RGB, shape=[-4, -5, 3])]}, RGB.tobytes(), 400, "pixels are"),
        ({"inputs": [pixel_input(RGB, shape=[2, 2, 5, 3])]}, RGB.tobytes(), 400, "pixels are of 2 images"),
        ({"inputs": [pixel_input(RGB)]}, RGB.tobytes()[1:], 400, "59 bytes follow"),
    ],
)
def test_what_is_wrong_is_told_in_the_protocols_form(
    client: httpx.Client, message: Record, binary: bytes, status: int, mentions: str
) -> None:
    response = send(client, message, binary)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    assert mentions in response.json()["error"]


def test_other_faults_have_the_same_form(client: httpx.Client, png: bytes) -> None:
    for response, status in (
        (client.get("/v2/models/other"), 404),
        (client.get(f"{MODEL}/versions/2/ready"), 404),
        (client.post("/v2/models/other/infer", json=in_json(png)), 404),
        (client.get("/v2/nothing"), 404),
        (client.get(f"{MODEL}/infer"), 405),
        (send(client, in_json(png), **{HEADER: "9" * 9}), 422),
        (client.post(f"{MODEL}/infer", content=b"{"), 422),
    ):
        assert (response.status_code, list(response.json())) == (status, ["error"])
        assert response.headers["x-request-id"]


def test_a_key_is_needed_where_one_is_set(settings: Settings, png: bytes, tmp_path: Any) -> None:
    (tmp_path / "key").write_text("s3cret")
    with running(settings.model_copy(update={"detail": "fast", "api_key_file": tmp_path / "key"})) as (client, _):
        assert client.post(f"{MODEL}/infer", json=in_json(png)).status_code == 401
        headers = {"Authorization": "Bearer s3cret"}
        assert client.post(f"{MODEL}/infer", json=in_json(png), headers=headers).status_code == 200


@pytest.fixture
def triton(client: httpx.Client) -> Iterator[Any]:
    http = pytest.importorskip("tritonclient.http")
    connection = http.InferenceServerClient(f"{client.base_url.host}:{client.base_url.port}")
    yield http, connection
    connection.close()


# gevent, which tritonclient runs on, closes its sockets when it likes.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["image", "image in JSON", "pixels", "pixels of a batch"])
def test_tritonclient(triton: Any, png: bytes, rgb: np.ndarray, expected: Expected, kind: str) -> None:
    http, connection = triton
    assert connection.is_server_live()
    assert connection.is_server_ready()
    assert connection.is_model_ready("figures", "1")
    assert connection.get_server_metadata()["name"] == "humanparse"
    described = connection.get_model_metadata("figures")["outputs"]
    if kind.startswith("image"):
        tensor = http.InferInput("image", [1], "BYTES")
        data = base64.b64encode(png) if kind == "image in JSON" else png
        tensor.set_data_from_numpy(np.array([data], dtype=object), binary_data=kind == "image")
    else:
        array = rgb if kind == "pixels" else rgb[None]
        tensor = http.InferInput("pixels", list(array.shape), "UINT8")
        tensor.set_data_from_numpy(array)
    result = connection.infer("figures", [tensor], request_id="abc", parameters={"detail": "high"})
    assert result.get_response()["id"] == "abc"
    check_tensors({o["name"]: result.as_numpy(o["name"]) for o in described}, expected)
    asked = [http.InferRequestedOutput("person_map", binary_data=False), http.InferRequestedOutput("bbox")]
    result = connection.infer("figures", [tensor], outputs=asked)
    np.testing.assert_array_equal(result.as_numpy("person_map"), expected.person_map)
    assert result.as_numpy("bbox").shape == (2, 4)
    assert result.as_numpy("person_map").shape == SIZE


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_tritonclient_understands_nobody_and_errors(triton: Any) -> None:
    http, connection = triton
    tensor = http.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([encode(Image.new("RGB", (50, 30)), "PNG")], dtype=object))
    assert connection.infer("figures", [tensor]).as_numpy("keypoints").shape == (0, 14, 3)
    tensor.set_data_from_numpy(np.array([b"broken"], dtype=object))
    with pytest.raises(Exception, match=r"The format is not supported: .*supported: JPEG"):
        connection.infer("figures", [tensor])
