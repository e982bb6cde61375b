"""The page at `/`, without a browser."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from service.http.page import FILES, FOLDER, HEADERS
from service.settings import Settings
from tests.service.conftest import running

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = [name for name in FILES if name.endswith(".js")]


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))


@pytest.fixture(scope="module")
def tags() -> list[tuple[str, dict[str, str | None]]]:
    return Tags((FOLDER / "index.html").read_text()).tags


def test_the_page_and_its_files_are_served(client: httpx.Client) -> None:
    page = client.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.content == (FOLDER / "index.html").read_bytes()
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
    for name, file in FILES.items():
        response = client.get(f"/page/{name}")
        assert response.content == file.read_bytes()
        assert response.headers["content-type"].startswith(kinds[file.suffix])
        assert HEADERS.items() <= {k.title(): v for k, v in response.headers.items()}.items()
        assert client.head(f"/page/{name}").status_code == 200


def test_the_sample_is_that_of_the_bundle(client: httpx.Client, settings: Settings, tmp_path: Path) -> None:
    assert client.get("/page/sample.jpg").status_code == 404  # the figures have none
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for file in settings.bundle.iterdir():
        (bundle / file.name).symlink_to(file)
    (bundle / "sample.jpg").write_bytes(b"a photo")
    with running(settings.model_copy(update={"bundle": bundle})) as (other, _):
        assert other.get("/page/sample.jpg").content == b"a photo"


@pytest.mark.parametrize("path", ["../settings.py", "%2e%2e/settings.py", "..%2fsettings.py", "", "none.js", "."])
def test_no_other_file_is_served(client: httpx.Client, path: str) -> None:
    request = httpx.Request("GET", f"{client.base_url}/page/x")
    request.url = request.url.copy_with(raw_path=f"/page/{path}".encode())
    response = client.send(request)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_the_policy_allows_files_of_this_server_alone(client: httpx.Client) -> None:
    policy = dict(rule.split(maxsplit=1) for rule in client.get("/").headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in str(policy)
    assert "http" not in str(policy)


def test_nothing_stands_in_line_and_nothing_is_loaded_from_elsewhere(
    tags: list[tuple[str, dict[str, str | None]]],
) -> None:
    for tag, attributes in tags:
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    for name, file in FILES.items():
        urls = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", file.read_text())
        assert set(urls) <= {"http://www.w3.org"}, name  # an XML namespace, which nobody fetches


def test_what_the_files_name_is_there(tags: list[tuple[str, dict[str, str | None]]]) -> None:
    linked = [str(a.get("src") or a.get("href")) for t, a in tags if t in ("img", "link", "script")]
    assert {name.removeprefix("page/") for name in linked} <= {*FILES, "sample.jpg"}
    ids = {a["id"] for _, a in tags if "id" in a}
    for name in SCRIPTS:
        text = FILES[name].read_text()
        assert set(re.findall(r"from '\./([\w.]+)'", text)) <= set(FILES), name
        assert set(re.findall(r"\('#([\w-]+)'\)", text)) <= ids, name
    actions = {a["data-action"] for _, a in tags if "data-action" in a}
    known = FILES["app.js"].read_text().split("const actions = {")[1].split("\n};")[0]
    assert actions == set(re.findall(r"^  (?:async )?'?([\w-]+)'?[:(]", known, flags=re.M))


def test_every_control_has_a_name(tags: list[tuple[str, dict[str, str | None]]]) -> None:
    text = (FOLDER / "index.html").read_text()
    for tag, attributes in tags:
        if tag in ("input", "select") and "hidden" not in attributes:
            mark = f'id="{attributes["id"]}"' if "id" in attributes else f'name="{attributes["name"]}"'
            assert re.search(rf"<label[^>]*>(?:(?!</label>).)*{mark}", text, flags=re.S), mark
        if tag == "img":
            assert "alt" in attributes


def test_the_wheel_has_every_file() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    (pattern,) = tool["package-data"]["service"]
    for file in FOLDER.rglob("*"):
        assert fnmatch(str(file.relative_to(FOLDER.parent)), pattern)
        assert file.parent == FOLDER  # setuptools' * matches no /
