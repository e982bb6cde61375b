"""The bundle of this repository behind a real server: a fresh clone serves real images."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import skimage.data
from PIL import Image
from pycocotools import mask as coco

from service.responses.schemas import ParseResponse
from service.settings import DEFAULT_BUNDLE

START_SECONDS = 120
PEOPLE = 3


@pytest.fixture(scope="module")
def image() -> bytes:
    """Three copies of NASA's public portrait of Eileen Collins, side by side, 1080p."""
    portrait = Image.fromarray(skimage.data.astronaut()).resize((640, 640))
    canvas = Image.new("RGB", (640 * PEOPLE, 1080), (128, 128, 128))
    for i in range(PEOPLE):
        canvas.paste(portrait, (640 * i, 220))
    file = io.BytesIO()
    canvas.save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HUMANPARSE_")}
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port), "--detail", "standard"]
    process = subprocess.Popen(
        command, env=environment | {"HUMANPARSE_DRAIN_SECONDS": "0", "HUMANPARSE_BACKEND": "openvino"}
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _wait_ready(client, process)
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def _wait_ready(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"the server ended with status {process.returncode}; see its log"
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.ConnectError:
            pass
        time.sleep(0.1)
    pytest.fail(f"not ready within {START_SECONDS} s")


def test_people_are_found_with_parts_joints_and_masks(client: httpx.Client, image: bytes) -> None:
    response = client.post("/parse", content=image, headers={"Content-Type": "image/jpeg"})
    assert response.status_code == 200, response.text
    answer = ParseResponse.model_validate(response.json())
    # These weights also take a piece of a flag for a person: a fault that the card names.
    assert PEOPLE <= len(answer.people) <= PEOPLE + 1
    for person in answer.people:
        decoded = coco.toBbox({"size": list(person.segmentation.size), "counts": person.segmentation.counts.encode()})
        assert decoded.tolist() == list(person.bbox)
    noses = {person.id: np.array(person.keypoints[:2]) for person in answer.people if person.keypoints[2] == 2}
    for column in range(PEOPLE):
        # Her nose, in the portrait of 512 pixels, is at about (230, 130).
        expected = np.array([640 * column + 230 * 1.25, 220 + 130 * 1.25])
        nearest = min(noses, key=lambda i: np.abs(noses[i] - expected).max())
        assert np.abs(noses[nearest] - expected).max() < 40
        person = next(person for person in answer.people if person.id == nearest)
        head = next(part for part in person.parts if part.name == "head")
        x, y, width, height = head.bbox
        assert x < expected[0] < x + width
        assert y < expected[1] < y + height
        assert {"torso", "head"} <= {part.name for part in person.parts}


def test_the_overlay_is_a_picture_of_the_images_size(client: httpx.Client, image: bytes) -> None:
    headers = {"Content-Type": "image/jpeg", "Accept": "image/jpeg"}
    response = client.post("/parse", content=image, headers=headers)
    assert Image.open(io.BytesIO(response.content)).size == (1920, 1080)


def test_the_model_names_its_licence_and_data(client: httpx.Client) -> None:
    model = client.get("/model").json()
    assert model["weights_licence"]
    assert model["data"]
    assert model["card"]
    assert (DEFAULT_BUNDLE / "MODEL_CARD.md").read_text(encoding="utf-8") == model["card"]
