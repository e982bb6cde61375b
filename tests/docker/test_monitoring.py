"""Rules and dashboard ask for what the service exports; docker/try.sh asks a real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from service.serving.metrics import Metrics

DOCKER = Path(__file__).resolve().parents[2] / "docker"
PROMETHEUS = yaml.safe_load((DOCKER / "prometheus/prometheus.yaml").read_text())
JOBS = {job["job_name"] for job in PROMETHEUS["scrape_configs"]}
RULES = [r for g in yaml.safe_load((DOCKER / "prometheus/rules.yaml").read_text())["groups"] for r in g["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
BOARD = json.loads((DOCKER / "grafana/dashboards/humanparse.json").read_text())
QUERIES = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [rule["expr"] for rule in RULES] + QUERIES
WORDS = {"and", "or", "unless", "bool"}
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool; it comes with Debian's prometheus")


@pytest.fixture(scope="module")
def exported() -> dict[str, list[dict[str, str]]]:
    """Labels of every sample by name, after a first image."""
    metrics = Metrics(keys=["mine"])
    metrics.backend_info.labels("default", "1", "openvino-f32").set(1)
    metrics.observe({"infer": 50.0, "total": 60.0}, people=1)
    samples: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample.labels)
    return samples


def names(expression: str) -> set[str]:
    """Names of series: every word that is no function, label or keyword."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|without|on)\s*\([^)]*\)", "", expression)
    return set(re.findall(r"\b[A-Za-z_][\w:]*\b(?!\s*\()", bare)) - WORDS


def test_names_are_found() -> None:
    assert names('sum by (a) (rate(b_c{d="e"}[5m])) / slo:f:g_h5m > bool 2 and up') == {"b_c", "slo:f:g_h5m", "up"}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_series_exist(expression: str, exported: dict[str, list[dict[str, str]]]) -> None:
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    assert names(expression)
    assert names(expression) <= set(exported) | recorded | {"up", "ALERTS"}
    for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", expression):
        wanted = dict(re.findall(r'(\w+)!?="([^"]*)"', matchers))
        assert wanted.pop("job", "humanparse") in JOBS
        if name in exported:
            assert any(wanted.items() <= labels.items() for labels in exported[name])


def test_alerts_have_two_windows_and_the_workbooks_factors() -> None:
    pattern = r"slo:sli_error:ratio_rate(\w+) > ([\d.]+) \* 0\.01 and slo:sli_error:ratio_rate(\w+) > ([\d.]+) \* 0\.01"
    found = []
    for rule in ALERTS:
        if rule["alert"] == "HumanparseBurnsItsBudget":
            long, factor, short, again = re.fullmatch(pattern, rule["expr"]).groups()
            assert (factor, rule["labels"]["windows"]) == (again, f"{short}/{long}")
            found.append((short, long, factor, rule["labels"]["severity"]))
    assert found == [
        ("5m", "1h", "14.4", "page"),
        ("30m", "6h", "6", "page"),
        ("2h", "1d", "3", "ticket"),
        ("6h", "3d", "1", "ticket"),
    ]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_urgent_it_is_and_what_it_means(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]


def test_panels_use_the_provisioned_source() -> None:
    (source,) = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    used = [part["datasource"] for panel in BOARD["panels"] for part in (panel, *panel["targets"])]
    assert all(part == {"type": source["type"], "uid": source["uid"]} for part in used)
    assert source["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]


def test_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for g in (panel["gridPos"] for panel in BOARD["panels"])
        for x in range(g["x"], g["x"] + g["w"])
        for y in range(g["y"], g["y"] + g["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@promtool
@pytest.mark.parametrize("command", ["test rules rules_test.yaml", "check config prometheus.yaml"])
def test_promtool_agrees(command: str) -> None:
    done = subprocess.run(
        ["promtool", *command.split()], cwd=DOCKER / "prometheus", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
