"""The page in a headless Chromium. Skipped where Playwright (the extra `browser`) or Chromium is missing."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from service.settings import Settings
from tests.service.conftest import encode, running

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install 'humanparse[browser]'")
from playwright.sync_api import Browser, Page, expect  # noqa: E402

expect.set_options(timeout=20_000)  # a busy machine is slow, not wrong
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as runner:
        own = Path(runner.chromium.executable_path)
        path = shutil.which("chromium") or shutil.which("chromium-browser") or (str(own) if own.exists() else None)
        if path is None:
            pytest.skip("needs Chromium: apt-get install chromium, or playwright install chromium")
        yield runner.chromium.launch(executable_path=path, args=["--no-sandbox", *CAMERA])


Opened = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, client: httpx.Client) -> Iterator[Opened]:
    """Opens the page of a server; fails if it made an error, or a request to anybody else."""
    faults: list[str] = []
    contexts = []

    def open_page(server: httpx.Client = client, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        base = str(server.base_url)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
        page.on("request", lambda r: None if r.url.startswith((base, "blob:", "data:")) else faults.append(r.url))
        page.goto(base)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def upload(page: Page, *files: bytes) -> None:
    payloads = [{"name": f"figures-{i}.png", "mimeType": "image/png", "buffer": file} for i, file in enumerate(files)]
    page.set_input_files("#files", payloads)


def blank(png: bytes) -> bytes:
    """A black image of the same size."""
    with Image.open(io.BytesIO(png)) as image:
        return encode(Image.new("RGB", image.size), "PNG")


def color_at(page: Page, x: float, y: float, canvas: str = "#layers") -> list[int]:
    """RGBA of a canvas at a share of its width and height, once it has been drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    script = """([canvas, x, y]) => {
        const { width, height } = document.querySelector(canvas);
        const context = document.querySelector(canvas).getContext('2d');
        return [...context.getImageData(Math.floor(x * width), Math.floor(y * height), 1, 1).data];
    }"""
    return list(page.evaluate(script, [canvas, x, y]))


FIRST_PERSON = 30 / 240, 75 / 120  # a point in the image of two people, as shares: part 5
SECOND_PERSON = 175 / 240, 80 / 120  # part 3
NOBODY = 110 / 240, 60 / 120


def test_an_image_shows_its_people_and_whose_each_pixel_is(opened: Opened, png: bytes, client: httpx.Client) -> None:
    page = opened()
    expect(page.get_by_role("heading", name="Every person, part by part")).to_be_visible()
    upload(page, png)
    people = page.locator("#people button")
    expect(people).to_have_count(2)
    expect(page.get_by_role("status")).to_contain_text("2 people")
    page.uncheck("[name=people]")
    page.uncheck("[name=skeletons]")
    colors = [part["color"] for part in client.get("/model").json()["taxonomy"]["parts"]]
    for point, color in ((FIRST_PERSON, colors[4]), (SECOND_PERSON, colors[2])):
        shown = color_at(page, *point)
        assert np.allclose(shown[:3], color, atol=3)
        assert shown[3] == pytest.approx(0.6 * 255, abs=3)
    assert color_at(page, *NOBODY)[3] == 0

    box = page.locator("#layers").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + FIRST_PERSON[0] * box["width"], box["y"] + FIRST_PERSON[1] * box["height"])
    expect(page.locator("#tip")).to_have_text("Person 1 · upper legs · 75 %")
    expect(page.locator("#people .hovered b")).to_have_text("Person 1")
    page.mouse.down()
    page.mouse.up()
    expect(people.first).to_have_attribute("aria-pressed", "true")
    parsed = client.post("/parse", content=png, headers={"Content-Type": "image/png"}).json()["people"]
    expect(page.locator("#people .part")).to_have_count(len(parsed[0]["parts"]))


def test_people_below_a_score_disappear_from_picture_list_and_downloads(
    opened: Opened, png: bytes, client: httpx.Client, tmp_path: Path
) -> None:
    page = opened()
    upload(page, png, png)
    people = page.locator("#people button")
    expect(people).to_have_count(2)
    page.get_by_label("Score at least").fill("0.85")
    expect(people).to_have_count(1)
    expect(page.get_by_role("status")).to_contain_text("1 person")
    expect(page.locator("#strip [aria-current=true] span")).to_have_text("1")
    assert color_at(page, *FIRST_PERSON)[3] > 0
    assert color_at(page, *SECOND_PERSON)[3] == 0
    page.keyboard.press("Escape")
    page.locator("#json summary").click()
    assert "parse?min_score=0.85" in page.locator("#curl").inner_text()

    with page.expect_download() as saved:
        page.get_by_role("button", name="People, pixel = id").click()
    saved.value.save_as(tmp_path / "people.png")
    with Image.open(tmp_path / "people.png") as image:
        assert set(np.unique(np.asarray(image))) == {0, 1}
    with page.expect_download() as saved:
        page.get_by_role("button", name="Response").click()
    saved.value.save_as(tmp_path / "response.json")
    parsed = client.post("/parse?min_score=0.85", content=png, headers={"Content-Type": "image/png"}).json()
    assert json.loads((tmp_path / "response.json").read_text())["people"] == parsed["people"]

    page.get_by_label("Score at least").fill("0")
    expect(people).to_have_count(2)


def test_everything_works_by_keyboard(opened: Opened, png: bytes) -> None:
    page = opened()
    upload(page, png, png)
    expect(page.locator("#strip [data-state=done]")).to_have_count(2)
    for key, layer in (("1", "photo"), ("2", "parts"), ("3", "people"), ("4", "skeletons")):
        page.keyboard.press(key)
        expect(page.get_by_role("switch", name=layer)).not_to_be_checked()
    assert color_at(page, *FIRST_PERSON)[3] == 0
    page.keyboard.press("2")
    before = color_at(page, *FIRST_PERSON)[3]
    page.keyboard.press("]")
    assert color_at(page, *FIRST_PERSON)[3] > before > 0
    page.keyboard.press("n")
    expect(page.locator("[aria-pressed=true] b")).to_have_text("Person 1")
    page.keyboard.press("Escape")
    expect(page.locator("[aria-pressed=true]")).to_have_count(0)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#strip [aria-current=true]")).to_have_attribute("title", "figures-1.png")
    page.keyboard.press("j")
    expect(page.locator("#json-text")).to_contain_text('"people": [')
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(page.get_by_role("switch", name="parts")).to_be_checked()


def test_stages_stand_against_the_promise(opened: Opened, png: bytes) -> None:
    page = opened()
    upload(page, png)
    expect(page.locator("#verdict")).to_contain_text("0.15 s")
    page.click("#json summary")
    expect(page.locator("#json-text")).to_contain_text("timings_ms")  # written a moment after the click
    timings = json.loads(page.inner_text("#json-text"))["timings_ms"]
    assert page.locator("#stages dt").all_inner_texts() == ["decode", "queue", "infer", "encode", "round trip"]
    widths = {name: page.locator(f"#bar .{name}").bounding_box()["width"] for name in ("decode", "infer", "round")}
    assert widths["round"] >= widths["infer"]
    assert (widths["infer"] > widths["decode"]) == (timings["infer"] > timings["decode"])


def test_downloads_are_what_the_service_says(opened: Opened, png: bytes, client: httpx.Client, tmp_path: Path) -> None:
    page = opened()
    upload(page, png)
    expect(page.locator("#people button")).to_have_count(2)

    def saved(action: str) -> Path:
        with page.expect_download() as download:
            page.click(f"[data-action={action}]")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    for layer in ("parts", "people"):
        theirs = client.post("/parse", content=png, headers={"Content-Type": "image/png", "Accept": "image/png"},
                             params={"layer": layer})  # fmt: skip
        assert saved(f"save-{layer}").read_bytes() == theirs.content
    answer = json.loads(saved("save-json").read_text())
    assert len(answer["people"]) == 2
    picture = saved("save-picture")
    assert picture.name == "figures-0-people.png"
    with Image.open(picture) as image:
        assert image.size == (240, 120)


def test_cutouts_of_everybody_and_of_the_chosen_person_by_keyboard(
    opened: Opened, png: bytes, client: httpx.Client, tmp_path: Path
) -> None:
    page = opened()
    page.keyboard.press("c")  # nothing to save yet
    upload(page, png)
    button = page.get_by_role("button", name="Cut-out")
    expect(button).to_contain_text("Cut-out of everybody")

    def saved(name: str) -> bytes:
        with page.expect_download() as download:
            page.keyboard.press("c")
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
        return (tmp_path / name).read_bytes()

    def theirs(**person: str) -> bytes:
        headers = {"Content-Type": "image/png", "Accept": "image/png"}
        return client.post("/parse", content=png, headers=headers, params={"layer": "cutout", **person}).content

    assert saved("figures-0-cutout.png") == theirs()
    page.keyboard.press("n")
    page.keyboard.press("n")
    expect(button).to_contain_text("Cut-out of Person 2")
    assert saved("figures-0-person-2.png") == theirs(person="2") != theirs()
    upload(page, blank(png))
    expect(page.get_by_role("status")).to_contain_text("no people")
    expect(button).to_be_disabled()


def test_errors_are_told_in_words(opened: Opened, png: bytes) -> None:
    page = opened()
    upload(page, b"no image at all")
    expect(page.get_by_role("alert")).to_contain_text("The format is not supported")
    expect(page.locator("#problem-detail")).to_contain_text("JPEG")
    expect(page.locator("#problem-id")).to_contain_text("Request ")
    upload(page, png)
    expect(page.locator("#people button")).to_have_count(2)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_the_webcam_streams_with_the_key_and_its_last_frame_stays(
    opened: Opened, settings: Settings, png: bytes, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("käse/+?", encoding="utf-8")
    changes = {"api_key_file": tmp_path / "key", "detail": "fast", "body_timeout_seconds": 20}
    with running(settings.model_copy(update=changes)) as (server, lifecycle):
        page = opened(server)
        upload(page, png)
        page.fill("#api-key", "käse/+?")
        page.keyboard.press("Enter")
        expect(page.locator("#people button")).to_have_count(2)
        page.keyboard.press("w")
        expect(page.locator("#live")).to_contain_text("frames dropped for newer ones")
        expect(page.locator("#people")).to_contain_text("Nobody was found.")  # Chromium's test picture
        page.keyboard.press("Escape")
        expect(page.get_by_role("status")).to_contain_text("webcam frame: no people")
        expect(page.locator("#strip li")).to_have_count(2)
        assert lifecycle.metrics.requests.labels("ok")._value.get() > 1


@pytest.mark.parametrize("width", [320, 800])
def test_nothing_is_wider_than_the_screen(opened: Opened, png: bytes, width: int) -> None:
    page = opened(viewport={"width": width, "height": 844})
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= width
    upload(page, png, png)
    expect(page.locator("#strip [data-state=done]")).to_have_count(2)
    page.click("#json summary")
    expect(page.locator("#json-text")).not_to_be_empty()
    assert page.evaluate(wide) <= width
    for button in page.locator("button:visible, select:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 40  # large enough for a thumb
        assert box["x"] >= 0


def test_dark_and_light_follow_the_system_until_chosen(opened: Opened) -> None:
    page = opened(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.click("#theme")
    light = page.evaluate(ground)
    assert sum(map(int, light[4:-1].split(","))) > 3 * 200 > 3 * 60 > sum(map(int, dark[4:-1].split(",")))
    page.reload()
    assert page.evaluate(ground) == light


def test_masks_are_read_as_pycocotools_writes_them(opened: Opened) -> None:
    from pycocotools import mask

    rng = np.random.default_rng(0)
    page = opened()
    for height, width in ((1, 1), (7, 9), (120, 90)):
        full = rng.random((height, width)) < rng.choice([0.02, 0.5, 0.98])
        coded = mask.encode(np.asfortranarray(full.astype(np.uint8)))
        script = """async ([size, counts]) => {
            const { Grid } = await import('/page/masks.js');
            const grid = new Grid(size[1], size[0], 1000);
            grid.paint({ size, counts }, 7);
            return [...grid.labels];
        }"""
        labels = page.evaluate(script, [list(coded["size"]), coded["counts"].decode()])
        assert np.array_equal(np.reshape(labels, full.shape), 7 * full)
