"""Joins the metrics of all replicas behind one `/metrics`, where each series bears its replica."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Texts = Mapping[str, str]  # each replica's metrics in the exposition format


class MetricsOfAll:
    """Answers `/metrics` for all replicas, and passes every other request on."""

    def __init__(self, app: ASGIApp, gather: Callable[[], Awaitable[Texts]]) -> None:
        self._app, self._gather = app, gather

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and scope["path"] == "/metrics" and scope["method"] in ("GET", "HEAD"):
            response = Response(joined(await self._gather()), media_type=CONTENT_TYPE_LATEST)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def joined(texts: Texts) -> bytes:
    """Return the exposition format with a label `replica` on every series."""
    return generate_latest(_Families(texts))


class _Families:
    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for replica, family in self._of_all():
            whole = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                whole.add_sample(sample.name, {**sample.labels, "replica": replica}, sample.value)
        return families.values()

    def _of_all(self) -> Iterator[tuple[str, Metric]]:
        for replica, text in self._texts.items():
            yield from ((replica, family) for family in text_string_to_metric_families(text))
