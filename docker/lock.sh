#!/usr/bin/env bash
# Makes docker/cpu.lock and docker/gpu.lock anew from pyproject.toml; needs uv (pip install uv).
# openvino-telemetry is left out: OpenVINO reports its own import with it, and runs without it.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() {
  uv pip compile pyproject.toml "$@" --quiet --upgrade --python-version 3.11 --python-platform linux \
    --generate-hashes --no-header --annotation-style line --no-emit-package openvino-telemetry
}
lock --output-file docker/cpu.lock
lock --extra gpu docker/gpu.in --constraint docker/cpu.lock --output-file docker/gpu.lock
