"""Writes /docs, the description of the interface as one page without scripts: nothing is loaded from anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: light-dark(#0a58ca, #8ab4f8) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem }
li, p, h2 { overflow-wrap: anywhere }
a { color: var(--accent) } h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem }
code, pre { font: 14px/1.4 ui-monospace, monospace }
pre { background: var(--soft); padding: .75rem; overflow: auto; max-height: 24rem }
table { border-collapse: collapse; display: block; overflow-x: auto }
caption { text-align: left; font-weight: 600; padding-top: .75rem }
td, th { border-bottom: 1px solid var(--line); padding: .25rem 1rem .25rem 0; text-align: left; vertical-align: top }
summary { cursor: pointer; padding: .25rem 0 } .method { text-transform: uppercase; color: var(--accent) }
"""


def docs_page(schema: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document; addresses on it are relative."""
    operations = [
        (method, path, operation) for path, methods in schema["paths"].items() for method, operation in methods.items()
    ]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(schema['info']['title'])}: API</title><style>{STYLE}</style>",
            f"<h1>{escape(schema['info']['title'])}</h1><p>{escape(schema['info']['description'])}</p>",
            '<p>Machine-readable: <a href="openapi.json">openapi.json</a></p><ul>',
            *(f'<li><a href="#{_anchor(m, p)}">{_name(m, p)}</a> {_text(_first(o))}' for m, p, o in operations),
            "</ul>",
            *(line for operation in operations for line in _operation(*operation)),
            "</html>",
        ]
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h2 id="{_anchor(method, path)}">{_name(method, path)}</h2>'
    for paragraph in operation["description"].split("\n\n"):
        yield f"<p>{_text(paragraph)}</p>"
    if parameters := operation.get("parameters"):
        yield "<table><caption>Parameters</caption><tr><th>Name<th>In<th>Values<th>Default<th>Meaning"
        for parameter in parameters:
            default = parameter["schema"].get("default")
            cells = [
                f"<code>{escape(parameter['name'])}</code>",
                escape(parameter["in"]),
                _values(parameter["schema"]),
                "" if default is None else f"<code>{escape(str(default))}</code>",
                _text(parameter.get("description", "")),
            ]
            yield f"<tr><td>{'<td>'.join(cells)}"
        yield "</table>"
    if body := operation.get("requestBody"):
        yield "<table><caption>Body</caption><tr><th>Content-Type<th>Fields"
        for media_type, content in body["content"].items():
            fields = ", ".join(f"<code>{escape(f)}</code>" for f in content["schema"].get("properties", {}))
            yield f"<tr><td><code>{escape(media_type)}</code><td>{fields or 'the file itself'}"
        yield "</table>"
    yield "<table><caption>Responses</caption><tr><th>Status<th>Meaning<th>Content-Type"
    for status, response in operation["responses"].items():
        types = ", ".join(f"<code>{escape(t)}</code>" for t in response.get("content", {}))
        yield f"<tr><td>{escape(status)}<td>{escape(response['description'])}<td>{types}"
    yield "</table>"
    for status, response in operation["responses"].items():
        for content in response.get("content", {}).values():
            for example in content.get("examples", {}).values():
                text = escape(json.dumps(example["value"], indent=1, ensure_ascii=False))
                yield f"<details><summary>{escape(status)}: {escape(example['summary'])}</summary><pre>{text}</pre>"
                yield "</details>"


def _name(method: str, path: str) -> str:
    return f'<code><b class="method">{escape(method)}</b> {escape(path)}</code>'


def _first(operation: Mapping[str, Any]) -> str:
    return re.split(r"[.;:]\s", operation["description"] + "\n", maxsplit=1)[0]


def _text(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _anchor(method: str, path: str) -> str:
    return escape(f"{method}{path.replace('/', '-')}")


def _values(schema: Mapping[str, Any]) -> str:
    schema = next((choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"), schema)
    if "enum" in schema:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    return escape(schema.get("type", ""))
