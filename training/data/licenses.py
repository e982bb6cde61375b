"""License codes of images: parsed from numbers, names and URLs, counted and selected.

Version and country of a license are dropped. A text must be understood as a whole, else its license is unknown: "COCO
image; annotations CC BY 4.0" says nothing about the image.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from model.errors import InputError

UNKNOWN = "unknown"  # name of the empty code in tables and records
COCO = ("by-nc-sa", "by-nc", "by-nc-nd", "by", "by-sa", "by-nd", "no-known-restrictions", "us-government")  # 1, 2, ...
CODES = ("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd", "cc0", "public-domain", *COCO[-2:])

COUNTRIES = "at|au|de|fr|igo|jp|nl|uk|us"  # of SPDX's identifiers; never sa or nd, which are terms
CREATIVE_COMMONS = re.compile(
    r"(?:cc )?(by(?: nc)?(?: sa| nd)?)(?: v?[1-4](?:\.\d)?)?(?: (?:generic|unported|international))?"
    rf"(?: (?:{COUNTRIES}))?"
)
NAMES = (  # match the whole text in lower case, with one space between words
    (r"cc ?(?:0|zero)(?: v?1\.0)?(?: universal)?", "cc0"),
    (r"public domain(?: mark)?(?: 1\.0)?", "public-domain"),
    (r"no known (?:copyright )?restrictions", "no-known-restrictions"),
    (r"(?:united states|u\.?s\.?) government(?: work)?", "us-government"),
)
SHORTER = (  # the licenses' long names
    (r"creative commons", "cc"),
    (r"attribution", "by"),
    (r"non[ -]?commercial", "nc"),
    (r"share[ -]?alike", "sa"),
    (r"no[ -]?deriv(?:ative)?s", "nd"),
    (r"(?: public)? licen[cs]e$", ""),
)
SITE, REST = r"(?:(?:https?:)?//)?(?:www\.)?", r"(?:/[\w./-]*)?"
ADDRESSES = (
    *((rf"{SITE}creativecommons\.org/licenses/{code}{REST}", code) for code in CODES if code.startswith("by")),
    (rf"{SITE}creativecommons\.org/publicdomain/zero{REST}", "cc0"),
    (rf"{SITE}creativecommons\.org/publicdomain/mark{REST}", "public-domain"),
    (rf"{SITE}flickr\.com/commons/usage/?", "no-known-restrictions"),
    (rf"{SITE}usa\.gov/(?:copyright|government-copyright|government-works)(?:\.shtml)?/?", "us-government"),
)
# "COCO image (Flickr, individual CC licence id 4 BY); COCO annotations CC BY 4.0": the number, and the image's terms.
COCO_TEXT = re.compile(r"coco image \([^()]*\blicen[cs]e id (\d{1,9})\b([^()]*)\).*")


def license_of_text(text: str) -> str:
    """Return the code of a license's code, name or URL (`by-sa`, "CC-BY-SA-4.0", "Attribution License"), else ""."""
    text = " ".join(text.lower().split())
    if coco := COCO_TEXT.fullmatch(text):
        return _agreed(license_of_number(int(coco[1])), license_of_text(coco[2]))
    if twice := re.fullmatch(r"([^()]+)\(([^()]+)\)", text):  # Attribution 4.0 International (CC BY 4.0)
        codes = {license_of_text(part) for part in twice.groups()}
        return codes.pop() if len(codes) == 1 else ""
    for pattern, code in ADDRESSES:
        if re.fullmatch(pattern, text):
            return code
    for pattern, short in SHORTER:
        text = re.sub(pattern, short, text)
    text = " ".join(re.split(r"[\s_-]+", text.strip()))
    if found := CREATIVE_COMMONS.fullmatch(text):
        return found[1].replace(" ", "-")
    return next((code for pattern, code in NAMES if re.fullmatch(pattern, text)), "")


def license_of_number(number: int) -> str:
    """Return the code of COCO's license number; "" if COCO has no such number."""
    return COCO[number - 1] if 1 <= number <= len(COCO) else ""


def read_license_list(value: Any) -> dict[int, str]:
    """Return codes by number, from the `licenses` of a COCO file (`id`, `url`, `name`); skips what is no such entry."""
    codes: dict[int, str] = {}
    for entry in value if isinstance(value, list) else []:
        if isinstance(entry, dict) and (number := _number(entry.get("id"))) is not None:
            code = _agreed(*(license_of_text(str(entry.get(name) or "")) for name in ("url", "name")))
            codes[number] = code if codes.get(number, code) == code else ""
    return codes


def image_license(image: dict[str, Any], listed: dict[int, str]) -> str:
    """Return the code of an image record; "" if its license is missing, unknown or contradictory.

    `license_id` is COCO's number. `license` is a text, or a number in the file's own list (`read_license_list`).
    """
    number, terms = _number(image.get("license_id")), image.get("license")
    said = "" if number is None else license_of_number(number)
    if (own := _number(terms)) is not None:
        return _agreed(said, listed.get(own, ""))
    return _agreed(said, license_of_text(terms) if isinstance(terms, str) else "")


def count_licenses(codes: Iterable[str]) -> dict[str, int]:
    """Count images by license, most frequent first; "" counts as `unknown`."""
    return dict(Counter(code or UNKNOWN for code in codes).most_common())


def chosen_licenses(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of codes, in the order of CODES. Raises InputError for an unknown code or none."""
    names = {name.strip().lower() for name in text.split(",")} - {""}
    if strangers := sorted(names - set(CODES)):
        raise InputError(f"--licenses: {', '.join(strangers)}: no such license; choose from {', '.join(CODES)}")
    if not names:
        raise InputError(f"--licenses names no license; choose from {', '.join(CODES)}")
    return tuple(code for code in CODES if code in names)


def is_within(counts: dict[str, int], licenses: Sequence[str]) -> bool:
    """Return whether `counts` is not empty and has only these licenses."""
    return bool(counts) and set(counts) <= set(licenses)


def _agreed(*codes: str) -> str:
    """Return the code that all non-empty `codes` agree on, else ""."""
    said = {code for code in codes if code}
    return said.pop() if len(said) == 1 else ""


def _number(value: Any) -> int | None:
    """Return a JSON integer, also if written as text, else None."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\d{1,9}", value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value
