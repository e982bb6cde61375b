"""Imports ONNX Runtime without its usage reports. Torch-free.

Every other module takes `ort` from here: from version 1.32 on it keeps a device id in the home folder and has an
uploader, which this variable switches off; older versions report on Windows alone.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort

ort.disable_telemetry_events()

__all__ = ["ort"]
