"""Writes service/http/examples.json anew: `PYTHONPATH=. python tests/service/http/make_examples.py`.

The examples of the interface are answers of the default weights to a small crop of their sample image.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from service.settings import DEFAULT_BUNDLE, load_settings
from tests.service.conftest import encode, running

FILE = Path(__file__).resolve().parents[3] / "service/http/examples.json"
CROP, SIZE = (0, 0, 640, 540), (96, 81)


def main() -> None:
    jpeg = encode(Image.open(DEFAULT_BUNDLE / "sample.jpg").crop(CROP).resize(SIZE), "JPEG", quality=90)
    settings = load_settings({}, backend="openvino", precision="f32", detail="fast", max_detail="fast")
    with running(settings) as (client, _):
        client.headers["X-Request-ID"] = "b7fc29d98e734e4286c56327d7ae1c70"

        def ask(summary: str, *files: tuple[str, bytes], field: str = "image", **params: str) -> dict[str, Any]:
            sent: Any = [(field, file) for file in files]
            return {"summary": summary, "value": client.post("/parse", files=sent, params=params).json()}

        file = ("astronaut.jpg", jpeg)
        parse = {
            "ours": ask("humanparse's own JSON", file),
            "coco": ask("format=coco&masks=polygon", file, format="coco", masks="polygon"),
            "coco_panoptic": ask("format=coco_panoptic", file, format="coco_panoptic"),
            "labelstudio": ask("format=labelstudio&masks=none", file, format="labelstudio", masks="none"),
            "images": ask(
                "several fields images, masks=none", file, ("torn.jpg", jpeg[:500]), field="images", masks="none"
            ),
        }
        problem = {"parameter": ask("an unknown parameter", file, mask="none")}
        infer = _infer(client, jpeg)
    FILE.write_text(json.dumps({"parse": parse, "problem": problem, "infer": infer}) + "\n", encoding="utf-8")


def _infer(client: httpx.Client, jpeg: bytes) -> dict[str, Any]:
    small = io.BytesIO(jpeg)
    with Image.open(small) as image:
        size = image.size
    outputs = [{"name": name} for name in ("person_id", "person_score", "bbox", "keypoints")]
    pixels = {"name": "pixels", "datatype": "UINT8", "shape": [size[1], size[0], 3]}
    binary = Image.open(small).convert("RGB").tobytes()
    pixels["parameters"] = {"binary_data_size": len(binary)}
    text = json.dumps({"inputs": [pixels], "outputs": outputs}).encode()
    name = client.get("/model").json()["name"]
    response = client.post(
        f"/v2/models/{name}/infer",
        content=text + binary,
        headers={"Inference-Header-Content-Length": str(len(text))},
    )
    return {
        "request": {"json": {"summary": "the JSON before the pixels", "value": json.loads(text)}},
        "response": {"json": {"summary": "outputs as JSON", "value": response.json()}},
    }


if __name__ == "__main__":
    main()
