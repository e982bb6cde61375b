"""`python -m export tensorrt BUNDLE`: build the engine that the service runs on this GPU."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from export.batch_graph import IMAGE, batch_graph
from export.half_precision import HALF
from model.errors import InputError, UserError
from model.manifest import ENGINES, GRAPH, Manifest, Size, read_bundle

Profile = tuple[Size, Size, Size]  # least, usual and greatest canvas (height, width)
BATCHES = (1, 2, 4, 8, 16, 32)  # the service fills batches up to a power of two


def main(arguments: list[str]) -> int:
    """Build an engine beside the graph; 2 if this machine cannot."""
    parser = argparse.ArgumentParser(prog="python -m export tensorrt", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder that python -m export wrote")
    parser.add_argument("--batch", type=int, default=1, choices=BATCHES, help="most images at once")
    parser.add_argument(
        "--precision", choices=[*HALF, "f32"], default="fp16", help="of the network; the decoder is always f32"
    )
    chosen = parser.parse_args(arguments)
    try:
        print(write_engine(chosen.bundle, chosen.batch, chosen.precision))
    except (UserError, OSError) as error:
        print(f"python -m export tensorrt: {error}", file=sys.stderr)
        return 2
    return 0


def write_engine(bundle: Path, batch: int, precision: str) -> Path:
    """Build a bundle's engine for this GPU, named by GPU, TensorRT version and graph; what is there already is kept.

    Raises BundleError for what is no bundle, InputError for one that sees a canvas twice, and where there is no GPU or
    no TensorRT 10.1.
    """
    manifest = read_bundle(bundle)
    gpu, trt = gpu_name(), _tensorrt()
    folder = bundle / ENGINES
    key = re.sub(r"[^A-Za-z0-9.]+", "-", f"{gpu}-trt{trt.__version__}-batch{batch}")
    engine = folder / f"{key}{manifest.engine_ending(precision)}"
    if engine.exists():
        return engine
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / GRAPH
        onnx.save(batch_graph(bundle, "tent", precision), graph)
        engine.write_bytes(build(trt, graph, profiles(manifest), batch, folder / "timing.cache"))
    return engine


def profiles(manifest: Manifest) -> list[Profile]:
    """The range of canvases of each level of detail that is not united from others."""
    found = []
    for detail, sizes in manifest.canvases.items():
        if detail not in manifest.scales:
            heights, widths = zip(*sizes, strict=True)
            usual = sorted(sizes)[len(sizes) // 2]
            found.append(((min(heights), min(widths)), usual, (max(heights), max(widths))))
    return found


def build(trt: Any, graph: Path, ranges: Sequence[Profile], batch: int, cache: Path | None = None) -> bytes:
    """The serialized engine of a graph for canvases [1..batch, H, W, 3] of the `ranges`.

    Each range has a profile for one image, and one for more if `batch` is more. `trt` is TensorRT's module, or
    TensorRT-RTX's. Types are the graph's own: float32 is not rounded to TF32. `cache` keeps the timings of kernels.
    Raises InputError with the parser's words if TensorRT does not take the graph.
    """
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph.read_bytes()):
        errors = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise InputError(f"TensorRT {trt.__version__} does not take the graph: {errors}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    for fewest, images in sorted({(1, 1), (min(2, batch), batch)}):
        for least, usual, most in ranges:
            profile = builder.create_optimization_profile()
            profile.set_shape(IMAGE, (fewest, *least, 3), (images, *usual, 3), (images, *most, 3))
            config.add_optimization_profile(profile)
    if cache:
        config.set_timing_cache(config.create_timing_cache(cache.read_bytes() if cache.exists() else b""), False)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise InputError(f"TensorRT {trt.__version__} built no engine: its log says why")
    if cache:
        cache.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(engine)


def gpu_name() -> str:
    """The name of the first GPU, from its driver. Raises InputError without one."""
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        if said.returncode == 0 and said.stdout.strip():
            return said.stdout.splitlines()[0].strip()
    raise InputError("no NVIDIA GPU here: run this where the service will run, an engine is for one kind of GPU")


def _tensorrt() -> Any:
    try:
        import tensorrt
    except ImportError:
        raise InputError("TensorRT is not installed: pip install 'humanparse[tensorrt]'") from None
    if tuple(map(int, tensorrt.__version__.split(".")[:2])) < (10, 1):
        raise InputError(f"TensorRT {tensorrt.__version__} is too old: pip install 'tensorrt>=10.1'")
    return tensorrt
