from __future__ import annotations

import subprocess
import sys

import httpx

from model.manifest import GRAPH, PARITY, read_bundle
from model.taxonomy import PASCAL_PERSON_PART, Taxonomy
from service.serving.metrics import SECONDS
from service.settings import Settings
from tests.service.conftest import running


def test_live_and_ready(client: httpx.Client) -> None:
    assert client.get("/livez").status_code == 200
    assert (client.get("/readyz").status_code, client.get("/readyz").text) == (200, "ready")


def test_head_answers_as_get_without_a_body(client: httpx.Client) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/model", "/docs", "/openapi.json"):
        response = client.head(path)
        assert (response.status_code, response.content) == (200, b""), path
        assert response.headers["content-type"] == client.get(path).headers["content-type"]


def test_pages_of_other_origins_may_call_only_if_they_are_listed(
    client: httpx.Client, settings: Settings, png: bytes
) -> None:
    ours, theirs = "https://ours.example", "https://theirs.example"
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    assert "access-control-allow-origin" not in client.get("/model", headers={"Origin": ours}).headers
    with running(settings.model_copy(update={"cors_origins": f"{ours}, http://localhost:3000"})) as (opened, _):
        for origin, allowed in ((ours, ours), ("http://localhost:3000", "http://localhost:3000"), (theirs, None)):
            preflight = opened.options("/parse", headers={"Origin": origin, **ask})
            assert preflight.headers.get("access-control-allow-origin") == allowed
            headers = {"Origin": origin, "Content-Type": "image/png"}
            for content in (png, b"broken"):
                response = opened.post("/parse", content=content, headers=headers)
                assert response.headers.get("access-control-allow-origin") == allowed
            assert "X-Request-ID" in response.headers.get("access-control-expose-headers", "") or allowed is None


def test_model_tells_what_is_served(client: httpx.Client) -> None:
    model = client.get("/model").json()
    assert (model["name"], model["version"], model["detail"], model["backend"]) == ("figures", "1", "high", "openvino")
    assert model["details"] == ["fast", "standard", "high", "finest"]
    assert Taxonomy.from_dict(model["taxonomy"]) == PASCAL_PERSON_PART
    assert model["limits"] == {
        "bytes": 32 * 2**20, "images": 16, "pixels": 8192 * 8192, "people": 4, "candidates": 20, "queue": 4,
    }  # fmt: skip
    assert model["label_studio_interface"].startswith("<View>")
    assert model["card"].startswith("# Figures")
    assert (model["weights_licence"], model["data"]) == ("CC0-1.0", "none")
    assert model["data_licenses"] == {"cc0": 3}
    assert model["parity"] is None


def test_model_tells_how_far_runtimes_differ(client: httpx.Client, settings: Settings) -> None:
    graph = read_bundle(settings.bundle).sha256[GRAPH]
    file = settings.bundle / PARITY
    try:
        for text, shown in ((f'{{"graph": "{graph}"}}', {"graph": graph}), ('{"graph": "old"}', None), ("{", None)):
            file.write_text(text)
            assert client.get("/model").json()["parity"] == shown
    finally:
        file.unlink()


def test_metrics_have_a_bucket_at_the_promised_time(client: httpx.Client, png: bytes) -> None:
    client.post("/parse", content=png, headers={"Content-Type": "image/png"})
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    text = response.text
    assert 0.15 in SECONDS
    for name in ("humanparse_request_duration_seconds_bucket{", "humanparse_stage_duration_seconds_bucket{"):
        edges = [line.split('le="')[1].split('"')[0] for line in text.splitlines() if line.startswith(name)]
        assert edges[: len(SECONDS) + 1] == [*(str(float(s)) for s in SECONDS), "+Inf"]
    for line in (
        "humanparse_model_ready 1.0",
        'humanparse_backend_info{backend="openvino-f32",model="figures",version="1"} 1.0',
        "humanparse_batch_size_count 0.0",  # this runtime takes one image at a time
        "humanparse_people_per_image_sum",
        "humanparse_cancelled_total 0.0",
        "process_resident_memory_bytes",
    ):
        assert line in text


def test_the_interface_is_described(client: httpx.Client) -> None:
    assert client.get("/docs").status_code == 200
    operation = client.get("/openapi.json").json()["paths"]["/parse"]["post"]
    assert set(operation["requestBody"]["content"]) == {"multipart/form-data", "image/*", "application/json"}
    assert {"200", "400", "401", "406", "408", "413", "415", "422", "429", "503", "504"} <= set(operation["responses"])
    assert {p["name"] for p in operation["parameters"]} == {"masks", "layer", "format", "person", "detail", "min_score"}


def test_serving_does_not_import_torch() -> None:
    code = (
        "import sys, service.http.server, service.commands.parse, service.commands.bench, service.cli\n"
        "import service.runtimes.onnxruntime\n"
        "heavy = {'torch', 'training', 'export', 'onnxruntime', 'pycocotools'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
