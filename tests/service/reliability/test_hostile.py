"""Wrong requests are refused by name, and none makes the server open a file or a connection."""

from __future__ import annotations

import base64
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.settings import Settings
from tests.service.conftest import running
from tests.service.reliability.hostile import hostile_requests


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    with running(settings.model_copy(update={"detail": "fast"})) as (client, _):
        yield client


def test_each_is_refused_with_a_reason(client: httpx.Client, png: bytes) -> None:
    refused = {}
    for name, body, headers, query in hostile_requests():
        response = client.post(f"/parse?{query}", content=body, headers=headers)
        problem = response.json() if response.headers["content-type"] == "application/problem+json" else {}
        refused[name] = (response.status_code, problem.get("type", ""), problem.get("detail", ""))
    wrong = {n: r for n, r in refused.items() if not 400 <= r[0] < 500 or not r[1].startswith("urn:") or len(r[2]) < 8}
    assert wrong == {}
    assert len(refused) > 300
    assert client.post("/parse", content=png, headers={"Content-Type": "image/png"}).status_code == 200


def test_no_path_or_url_of_a_request_is_opened(client: httpx.Client, png: bytes, tmp_path: Path) -> None:
    file = tmp_path / "canary.png"
    file.write_bytes(png)
    opened: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event == "open" and "canary" in str(arguments[0]):
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        places = [str(file), f"file://{file}", f"http://127.0.0.1:{listener.getsockname()[1]}/canary.png"]
        for place in places:
            encoded = base64.b64encode(place.encode()).decode()
            for body in ({"image": place}, {"image": encoded}, {"url": place}, {"path": place}):
                response = client.post("/parse", json=body, headers={"Referer": place})
                assert 400 <= response.status_code < 500
            assert 400 <= client.post("/parse", content=place, headers={"Content-Type": "image/png"}).status_code < 500
            assert client.post("/parse", params={"detail": place}, content=png).status_code in (415, 422)
            assert client.post("/parse", files={"image": (place, png)}).status_code == 200
            assert client.get("/" + place).status_code == 404
            assert client.get(f"/page/..%2f..%2f{place}").status_code == 404
        with pytest.raises(TimeoutError):
            listener.accept()
    watching = False
    assert opened == []
    assert json.dumps(places).count("canary") == 3
