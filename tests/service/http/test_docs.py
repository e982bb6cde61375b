"""The description of the interface: true to the responses, complete, and without anything from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import jsonschema
import pytest

from service.http.openapi import EXAMPLES
from service.http.parameters import PARAMETERS

SCHEMAS = {
    "ours": "ParseResponse",
    "coco": "CocoDataset",
    "coco_panoptic": "CocoPanoptic",
    "labelstudio": "LabelStudioTask",
    "images": "Results",
}


@pytest.fixture(scope="module")
def api(client: httpx.Client) -> dict[str, Any]:
    return client.get("/openapi.json").json()


def validate(value: Any, schema: dict[str, Any], api: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema | {"components": api["components"]}).validate(value)


def refs(value: Any) -> Iterator[str]:
    """Every $ref of a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from refs(item)


def ask(client: httpx.Client, png: bytes, name: str) -> Any:
    """The same kind of response as an example."""
    if name == "images":
        return client.post("/parse", files=[("images", png), ("images", png[:50])]).json()
    params = {} if name == "ours" else {"format": name}
    return client.post("/parse", files={"image": png}, params=params).json()


@pytest.mark.parametrize("name", SCHEMAS)
def test_examples_and_responses_keep_the_schema(client: httpx.Client, png: bytes, api: Any, name: str) -> None:
    content = api["paths"]["/parse"]["post"]["responses"]["200"]["content"]["application/json"]
    component = {"$ref": f"#/components/schemas/{SCHEMAS[name]}"}
    assert component in content["schema"]["anyOf"]
    example, response = content["examples"][name]["value"], ask(client, png, name)
    for value in (example, response):
        validate(value, component, api)
    assert set(example) == set(response)
    with pytest.raises(jsonschema.ValidationError):
        validate({key: value for key, value in response.items() if key != next(iter(example))}, component, api)


def test_every_reference_leads_somewhere(api: Any) -> None:
    references = list(refs(api))
    assert "#/components/schemas/InputParameters" in references
    for reference in references:
        found = api
        assert reference.startswith("#/")
        for key in reference[2:].split("/"):
            found = found[key]
        assert "type" in found


def test_every_problem_keeps_its_schema(client: httpx.Client, png: bytes, api: Any) -> None:
    content = api["paths"]["/parse"]["post"]["responses"]["422"]["content"]["application/problem+json"]
    response = client.post("/parse", files={"image": png}, params={"mask": "none"}).json()
    example = EXAMPLES["problem"]["parameter"]["value"]
    assert example == content["examples"]["parameter"]["value"]
    for value in (example, response):
        validate(value, content["schema"], api)
    same = ("type", "title", "status", "detail", "errors")
    assert {key: example[key] for key in same} == {key: response[key] for key in same}


def test_the_example_of_the_inference_protocol_is_one(client: httpx.Client, api: Any) -> None:
    operation = api["paths"]["/v2/models/{name}/infer"]["post"]
    request = EXAMPLES["infer"]["request"]["json"]["value"]
    validate(request, operation["requestBody"]["content"]["application/json"]["schema"], api)
    response = operation["responses"]["200"]["content"]["application/json"]
    validate(response["examples"]["json"]["value"], response["schema"], api)
    assert [o["name"] for o in response["examples"]["json"]["value"]["outputs"]] == [
        o["name"] for o in request["outputs"]
    ]


class Page(HTMLParser):
    """Addresses and ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href") and value:
                self.addresses.append(value)
            if name == "id" and value:
                self.ids.add(value)


def test_the_page_names_everything_and_loads_nothing(client: httpx.Client, api: Any) -> None:
    response = client.get("/docs")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    page = Page(response.text)
    assert not {"script", "link", "img", "iframe"} & page.tags
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= page.ids
    assert [a for a in page.addresses if not a.startswith("#")] == ["openapi.json"]
    assert not re.search(r"url\(|@import", response.text)
    for path in api["paths"]:
        assert path in response.text
    for name in (*PARAMETERS, "coco_panoptic", "multipart/form-data", "application/problem+json"):
        assert f"<code>{name}</code>" in response.text
    assert "&quot;request_id&quot;" in response.text
    assert client.get("/redoc").status_code == 404
