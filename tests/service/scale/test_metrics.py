"""The metrics of several replicas as one."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from service.scale.metrics import joined
from service.serving.metrics import Metrics


def test_each_series_bears_its_replica_and_none_is_lost() -> None:
    replicas = {"a": Metrics(), "b": Metrics()}
    replicas["a"].requests.labels("ok").inc(3)
    replicas["b"].requests.labels("ok").inc(4)
    replicas["b"].observe({"total": 120.0}, 2)
    text = joined({name: metrics.text().decode() for name, metrics in replicas.items()}).decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    found = {(s.name, *sorted(s.labels.items())): s.value for s in samples}
    assert len(found) == len(samples)
    assert found["humanparse_requests_total", ("outcome", "ok"), ("replica", "a")] == 3
    assert found["humanparse_requests_total", ("outcome", "ok"), ("replica", "b")] == 4
    assert found["humanparse_request_duration_seconds_bucket", ("le", "0.125"), ("replica", "b")] == 1
    assert found["humanparse_request_duration_seconds_bucket", ("le", "0.1"), ("replica", "b")] == 0
    for line in replicas["a"].text().decode().splitlines():  # names, types and help texts stay as they are
        assert not line.startswith("#") or line in text
