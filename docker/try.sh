#!/usr/bin/env bash
# Tries the stack for real: builds, starts, measures, breaks and removes it. Needs Docker, Python 3 and five minutes.
# Project, ports and volumes are its own: it may run beside a stack in use. Alert rules, windows and intervals are those
# of production. A Prometheus that has just been started has seen minutes, and its window of an hour holds no more than
# these; so a minute of load brings the page. Before that, one client has up to ten minutes to be answered in time: a
# machine that is busy otherwise may need HUMANPARSE_DETAIL=fast docker/try.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
export COMPOSE_PROJECT_NAME=humanparse-try
export PUBLISH_APP=127.0.0.1:18000 PUBLISH_PROMETHEUS=127.0.0.1:19090 PUBLISH_GRAFANA=127.0.0.1:13000
export APP=http://$PUBLISH_APP PROMETHEUS=http://$PUBLISH_PROMETHEUS
image=bundles/default/sample.jpg
services=(app prometheus)

step() { printf '\n%s  %s\n' "$(date +%T)" "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
probe() { python3 docker/probe.py "$@"; }
say() { # say LABEL PROBE...: what the probe prints, and a failure where it fails
  local said
  said=$(probe "${@:2}") || fail "$1 $said"
  echo "$1 $said"
}
container() { docker compose ps --quiet --all "$1"; }

secrets=$(mktemp -d)
clean_up() {
  status=$?
  [ "$status" = 0 ] || docker compose logs --tail 30 || true
  step "Taking everything down"
  docker compose down --volumes --timeout 45 2>&1 | grep -v '^ *$' || true
  rm -r "$secrets"
  exit "$status"
}
trap clean_up EXIT
echo 'services: {app: {environment: [HUMANPARSE_DETAIL]}}' >"$secrets/compose.yaml" # where the caller has set it
export COMPOSE_FILE=compose.yaml:compose.key.yaml:$secrets/compose.yaml API_KEYS=$secrets/keys
mkdir "$API_KEYS"
for name in shop lab; do od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$API_KEYS/$name"; done
chmod 755 "$secrets" "$API_KEYS" && chmod 444 "$API_KEYS"/* # user 10001 reads them
key=$(cat "$API_KEYS/shop")

step "Building"
docker compose build app >"$secrets/build" 2>&1 || fail "$(tail -n 20 "$secrets/build")"
size() { echo $(($(docker image inspect --format '{{.Size}}' "$1") / 1000000)); }
echo "humanparse:cpu: $(size humanparse:cpu) MB, of which its base image: $(size python:3.11-slim-bookworm) MB"
[ "$(size humanparse:cpu)" -lt 700 ] || fail "the image is too large"
docker run --rm --network none --entrypoint python humanparse:cpu -c '
from importlib.util import find_spec
found = [n for n in ("torch", "training", "export", "onnxruntime", "openvino_telemetry") if find_spec(n)]
raise SystemExit(f"in the image: {found}" if found else 0)' || fail "the image has what serving does not need"
echo "neither torch nor training nor OpenVINO's telemetry in it"

step "Starting"
if docker compose pull --quiet grafana >"$secrets/pull" 2>&1; then services+=(grafana); else
  echo "Grafana is left out, its image cannot be had: $(tail -n 1 "$secrets/pull")"
fi
begun=$SECONDS
docker compose up --detach --wait --no-build "${services[@]}" 2>&1 | grep -E 'ealthy|rror' || fail "not healthy"
echo "healthy after $((SECONDS - begun)) s"

step "Hardening"
for service in "${services[@]}"; do
  held=$(docker compose exec -T "$service" cat /proc/1/status \
    | awk '/^(Uid|CapEff|CapBnd|NoNewPrivs):/ {printf "%s %s  ", $1, $2}')
  held+="read-only $(docker inspect --format '{{.HostConfig.ReadonlyRootfs}}' "$(container "$service")")"
  echo "$service: $held"
  none="0000000000000000"
  [[ $held =~ ^"Uid: "[1-9][0-9]*"  CapEff: $none  CapBnd: $none  NoNewPrivs: 1  read-only true"$ ]] \
    || fail "$service may do more than it should"
done
docker compose exec -T app sh -c '! touch /app/written 2>/dev/null && touch /tmp/written ~/written' \
  || fail "the app may write where it should not, or not where it should"
kept=$(docker compose exec -T app sh -c 'du -sm ~/openvino') || fail "nothing is kept for the next start"
echo "app: writes to /tmp and its cache, which holds ${kept%%[!0-9]*} MB of compiled models, not to /app"

step "An image"
say "without the key:" image $image | tee "$secrets/without"
for name in shop lab; do say "with the key $name:" image $image "$(cat "$API_KEYS/$name")"; done | tee "$secrets/with"
say "a HEIC:" image tests/service/images/figures.heic "$key" | tee -a "$secrets/with"
grep -q ': 401' "$secrets/without" || fail "no key was asked for"
[ "$(grep -c ': 200' "$secrets/with")" = 3 ] || fail "not all were answered"
for path in / /docs; do say "GET $path:" page $path; done

step "One client alone, until its images are in time and Prometheus has seen it"
page='ALERTS{alertname="HumanparseBurnsItsBudget",alertstate="firing",severity="page",windows="5m/1h"}'
calm="slo:sli_error:ratio_rate5m < 14.4 * 0.01 unless on () $page"
for minute in $(seq 10); do
  say "answers:" load $image "$key" 1 30
  if probe wait "$calm" 35 >/dev/null; then break; fi # 15 s until it is scraped, 15 s until rules are evaluated
  [ "$minute" -lt 10 ] || fail "one client alone is answered too late: a quieter machine, or HUMANPARSE_DETAIL=fast"
done
say "all of them scraped after" scraped 60
for p in 0.50 0.95 0.99; do
  say "p${p#0.}, s:" value "histogram_quantile($p, sum by (le) (rate(humanparse_request_duration_seconds_bucket[5m])))"
done
say "share within 0.15 s:" value '1 - slo:sli_error:ratio_rate5m'

step "Sixteen clients at once, until the page"
say "firing before that:" value "count($page) or vector(0)" | tee "$secrets/before"
grep -q ': 0$' "$secrets/before" || fail "it fires without load"
probe load $image "$key" 16 90 >"$secrets/load" &
loading=$!
say "5m/1h x 14.4 fires after" wait "$page" 85
say "share within 0.15 s now:" value '1 - slo:sli_error:ratio_rate5m'
say "dashboard:" dashboard docker/grafana/dashboards/humanparse.json
wait $loading
echo "answers: $(cat "$secrets/load")"

step "The service's process is killed"
docker compose exec -T app python -c '
from os import kill
from pathlib import Path
for p in Path("/proc").glob("[0-9]*"):
    if p.name != "1" and b"service.cli" in (p / "cmdline").read_bytes().split(b"\0"):
        kill(int(p.name), 9)' || true
say "ready again after" ready 300
restarts=$(docker inspect --format '{{.RestartCount}}' "$(container app)")
echo "restarts: $restarts"
[ "$restarts" = 1 ] || fail "it was not restarted"
say "an image:" image $image "$key"

step "SIGTERM"
begun=$SECONDS
docker compose stop app 2>/dev/null
code=$(docker inspect --format '{{.State.ExitCode}}' "$(container app)")
echo "exit status $code after $((SECONDS - begun)) s, 5 of which it drains"
[ "$code" = 0 ] || fail "it did not end by itself"
step "All is well"
