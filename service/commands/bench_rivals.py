"""What stands beside the server in a benchmark: the same network elsewhere, from a JPEG to people on a canvas."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from model.manifest import GRAPH, read_bundle
from service.commands.bench import BenchError
from service.parsing.parser import ImageParser
from service.runtimes.onnxruntime import OnnxRuntimeBackend
from service.settings import Settings

Rival = Callable[[Path], float]  # milliseconds that an image file takes


@contextmanager
def rivals_of(settings: Settings, detail: str, checkpoint: Path | None, *, enabled: bool) -> Iterator[dict[str, Rival]]:
    """Yield the rivals by name: ONNX Runtime in float32, and eager torch if there is a checkpoint of the network.

    Torch runs in a process of its own, because the service knows none. Raises BackendError without ONNX Runtime,
    BenchError if the process fails.
    """
    if not enabled:
        yield {}
        return
    manifest = read_bundle(settings.bundle)
    backend = OnnxRuntimeBackend(settings.bundle / GRAPH, settings.threads)
    parser = ImageParser(manifest, backend, manifest.canvases, detail, settings.max_pixels, 0.0)

    def onnxruntime(file: Path) -> float:
        start = time.perf_counter()
        parser.infer(parser.prepare(file.read_bytes()))
        return 1e3 * (time.perf_counter() - start)

    rivals: dict[str, Rival] = {"onnxruntime f32": onnxruntime}
    if checkpoint is None:
        yield rivals
        return
    command = [sys.executable, "-m", "training", "eager", str(checkpoint), "--detail", detail]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def eager(file: Path) -> float:
            assert process.stdin
            assert process.stdout
            print(file, file=process.stdin, flush=True)
            answer = process.stdout.readline()
            if not answer:
                raise BenchError(f"{' '.join(command)} failed: its message is above")
            return float(answer.split()[0])

        yield {**rivals, "eager torch, scipy": eager}
