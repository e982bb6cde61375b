"""Licences of images, from what their records say."""

from __future__ import annotations

from typing import Any

import pytest

from model.errors import InputError
from training.data.licenses import (
    CODES,
    chosen_licenses,
    count_licenses,
    image_license,
    is_within,
    license_of_number,
    license_of_text,
    read_license_list,
)

COCO_LIST = [  # as in COCO's own annotation files
    ("http://creativecommons.org/licenses/by-nc-sa/2.0/", "Attribution-NonCommercial-ShareAlike License", "by-nc-sa"),
    ("http://creativecommons.org/licenses/by-nc/2.0/", "Attribution-NonCommercial License", "by-nc"),
    ("http://creativecommons.org/licenses/by-nc-nd/2.0/", "Attribution-NonCommercial-NoDerivs License", "by-nc-nd"),
    ("http://creativecommons.org/licenses/by/2.0/", "Attribution License", "by"),
    ("http://creativecommons.org/licenses/by-sa/2.0/", "Attribution-ShareAlike License", "by-sa"),
    ("http://creativecommons.org/licenses/by-nd/2.0/", "Attribution-NoDerivs License", "by-nd"),
    ("http://flickr.com/commons/usage/", "No known copyright restrictions", "no-known-restrictions"),
    ("http://www.usa.gov/copyright.shtml", "United States Government Work", "us-government"),
]


def test_cocos_numbers_addresses_and_names_say_the_same() -> None:
    for number, (url, name, code) in enumerate(COCO_LIST, 1):
        assert (license_of_number(number), license_of_text(url), license_of_text(name)) == (code, code, code)
    assert [license_of_number(number) for number in (-1, 0, 9)] == ["", "", ""]


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_its_own_text(code: str) -> None:
    assert license_of_text(code) == license_of_text(f" {code.upper()} ") == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CC-BY-4.0", "by"),
        ("CC BY 2.0", "by"),
        ("cc_by_sa", "by-sa"),
        ("CC-BY-NC-SA-2.0-UK", "by-nc-sa"),
        ("CC-BY-3.0-IGO", "by"),
        ("CC BY-NC-ND 2.0 Generic", "by-nc-nd"),
        ("Creative Commons Attribution-ShareAlike 4.0 International", "by-sa"),
        ("Creative Commons Attribution 4.0 International License", "by"),
        ("Attribution-NonCommercial-NoDerivatives 4.0 International (CC BY-NC-ND 4.0)", "by-nc-nd"),
        ("Attribution Non Commercial Share Alike", "by-nc-sa"),
        ("https://creativecommons.org/licenses/by-nc/4.0/deed.en", "by-nc"),
        ("creativecommons.org/licenses/by-sa/2.0", "by-sa"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "public-domain"),
        ("CC0", "cc0"),
        ("CC0 1.0 Universal", "cc0"),
        ("CC0-1.0", "cc0"),
        ("Creative Commons Zero v1.0 Universal", "cc0"),
        ("Public Domain", "public-domain"),
        ("US Government Work", "us-government"),
        ("COCO image (Flickr, individual CC licence id 4 BY); COCO annotations CC BY 4.0", "by"),
        ("COCO image (Flickr, individual CC licence id 1 BY-NC-SA); COCO annotations CC BY 4.0", "by-nc-sa"),
        ("COCO image (Flickr, individual CC licence id 3); COCO annotations CC BY 4.0", "by-nc-nd"),
        (
            "COCO image (Flickr, individual CC license id 7 none known); COCO annotations CC BY 4.0",
            "no-known-restrictions",
        ),
    ],
)
def test_texts_that_name_a_license(text: str, code: str) -> None:
    assert license_of_text(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "none known",
        "All rights reserved",
        "Apache-2.0",
        "repository LICENSE Apache-2.0 (photographers' rights not stated)",
        "no licence in repository",
        "COCO image (Flickr, individual CC licence, id not known); COCO annotations CC BY 4.0",  # not the image's
        "COCO image (Flickr, individual CC licence id 4 BY-NC); COCO annotations CC BY 4.0",  # contradicts itself
        "COCO image (Flickr, individual CC licence id 44); COCO annotations CC BY 4.0",
        "COCO image (person id 4); COCO annotations CC BY 4.0",
        "image unknown; labels CC BY 4.0",
        "not CC BY",
        "CC BY 4.0 or CC BY-NC 4.0",
        "CC BY 4.0 SA",
        "CC BY 4.0 ND",
        "CC BY-SA-ND 4.0",
        "CC BY-NC 4.0 (CC BY 4.0)",
        "CC BY 4.0 (labels only)",
        "BY BY",
        "cc",
        "https://creativecommons.org/licenses/by/4.0/, https://creativecommons.org/licenses/by-nc/4.0/",
        "https://creativecommons.org/licenses/sampling+/1.0/",
        "https://example.org/creativecommons.org/licenses/by/4.0/",
        "https://creativecommons.org/licenses/byte/",
    ],
)
def test_a_partly_understood_text_is_unknown(text: str) -> None:
    assert license_of_text(text) == ""


def test_a_license_list_is_read_without_its_contradictions() -> None:
    listed = [{"id": n, "url": url, "name": name} for n, (url, name, _) in enumerate(COCO_LIST, 1)]
    assert read_license_list(listed) == dict(enumerate((code for _, _, code in COCO_LIST), 1))
    assert read_license_list(
        [
            {"id": 0, "url": "", "name": ""},
            {"id": "1", "url": None, "name": "CC-BY-4.0"},
            {"id": 2, "url": "https://creativecommons.org/licenses/by-nc/4.0/", "name": "CC BY 4.0"},
            {"id": 3, "name": "by"},
            {"id": 3, "name": "by-nc"},
            {"name": "by"},
            "by",
        ]
    ) == {0: "", 1: "by", 2: "", 3: ""}
    for other in (None, {}, "by", 3):
        assert read_license_list(other) == {}


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ({}, ""),
        ({"license_id": 4}, "by"),
        ({"license_id": "4"}, "by"),
        ({"license_id": None, "license": None}, ""),
        ({"license_id": 9}, ""),
        ({"license_id": True}, ""),
        ({"license_id": [4]}, ""),
        ({"license": "CC-BY-SA-2.0"}, "by-sa"),
        ({"license": 4}, "by-nc"),  # the file's own number
        ({"license": "4"}, "by-nc"),
        ({"license": 5}, ""),  # not listed
        ({"license": {"name": "by"}}, ""),
        ({"license_id": 4, "license": "CC BY 2.0"}, "by"),
        ({"license_id": 4, "license": "see the web site"}, "by"),
        ({"license_id": 4, "license": "CC BY-NC 2.0"}, ""),
        ({"license_id": 4, "license": 4}, ""),
        ({"license_id": 2, "license": 4}, "by-nc"),
    ],
)
def test_an_images_record(image: dict[str, Any], code: str) -> None:
    assert image_license(image, {4: "by-nc"}) == code


def test_counts_and_choices() -> None:
    assert list(count_licenses(["by", "", "by-sa", "", "by", ""]).items()) == [("unknown", 3), ("by", 2), ("by-sa", 1)]
    assert chosen_licenses("by-sa, BY,,cc0") == ("by", "by-sa", "cc0")
    for text in ("by,gpl", "unknown"):
        with pytest.raises(InputError, match=r"(gpl|unknown): no such license; choose from by, by-sa, .*us-government"):
            chosen_licenses(text)
    with pytest.raises(InputError, match="names no license; choose from by"):
        chosen_licenses(" ,")
    assert is_within({"by": 2}, ("by", "by-sa"))
    assert not is_within({"by": 2, "unknown": 1}, ("by", "by-sa"))
    assert not is_within({}, ("by",))
