"""Decodes base64 as clients write it: with line breaks, in the URL-safe alphabet, without padding, as a data: URL."""

from __future__ import annotations

import base64
import re

DATA_URL = re.compile(r"\s*data:(?P<type>[^,]*),", re.IGNORECASE)
URL_SAFE = str.maketrans("-_", "+/")
FOREIGN = re.compile(r"[^A-Za-z0-9+/]")


def decode_base64(text: str) -> bytes:
    """Return the bytes of a base64 text. Raises ValueError that names the first character that is not base64.

    Between characters, a space is either a separator or a "+" that a form decoder turned into a space. It is taken for
    the one that gives a text of a possible length; a text that could be both is refused.
    """
    if url := DATA_URL.match(text):
        if not url["type"].rstrip().lower().endswith(";base64"):
            raise ValueError("the data: URL is not ;base64")
        text = text[url.end() :]
    # Escaped line breaks of JSON arrive as line breaks; base64.encodebytes makes one every 76 characters.
    letters = re.sub(r"[\r\n\t\f\v]", "", text).strip().translate(URL_SAFE)
    if " " in letters:
        letters = _without_spaces(letters)
    content = letters.rstrip("=")
    if foreign := FOREIGN.search(content):
        at = text.translate(URL_SAFE).index(foreign[0])
        raise ValueError(f"character {foreign[0]!r} at position {at} is not base64")
    if not _is_possible(letters):
        raise ValueError(f"{len(content)} characters and {len(letters) - len(content)} of padding are no whole bytes")
    return base64.b64decode(content + "=" * (-len(content) % 4))


def _without_spaces(letters: str) -> str:
    dropped, pluses = letters.replace(" ", ""), letters.replace(" ", "+")
    if "+" in letters or not _is_possible(pluses):
        return dropped
    if not _is_possible(dropped):
        return pluses
    at = letters.index(" ")
    raise ValueError(f"character ' ' at position {at} may be a separator or a '+' that was URL-decoded")


def _is_possible(letters: str) -> bool:
    """Whether base64 can be of this length: with padding a multiple of 4, without it anything but 1 more."""
    padding = len(letters) - len(letters.rstrip("="))
    return padding < 3 and (len(letters) % 4 == 0 if padding else len(letters) % 4 != 1)
