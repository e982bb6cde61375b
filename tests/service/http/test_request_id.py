from __future__ import annotations

import re

import httpx


def test_request_ids_are_kept_if_they_are_harmless(client: httpx.Client, png: bytes) -> None:
    def sent(**headers: str) -> str:
        response = client.post("/parse", content=png, headers={"Content-Type": "image/png", **headers})
        assert response.headers["x-request-id"] == response.json()["request_id"]
        return response.json()["request_id"]

    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert sent(**{"X-Request-ID": "abc-1"}) == "abc-1"
    assert sent(traceparent=f"00-{trace}-00f067aa0ba902b7-01") == trace
    assert re.fullmatch("[0-9a-f]{32}", sent(**{"X-Request-ID": "x" * 129}))
    assert re.fullmatch("[0-9a-f]{32}", sent(**{"X-Request-ID": 'a"b<script>'}))
    assert sent() != sent()
