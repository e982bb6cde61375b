"""Runs the graph in OpenVINO on a CPU: the network in bf16 if the CPU supports it or in int8, the decoder in f32."""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.cpu import supports_bf16
from model.openvino import ov, read_halves
from model.raw_prediction import RawPrediction
from service.runtimes.types import BackendError

DECODERS = 1  # compiled for one canvas each, beside the one for all: 95 MB each
RECENT = 48  # inferences among which a canvas that comes often is sought
OFTEN = 12  # of them; more than a start-up runs any canvas
MATCH = 0.99  # of the pixels, between a decoder for one canvas and the one for all

Tensors = dict[str, NDArray[Any]]
Shape = tuple[int, ...]
log = logging.getLogger(__name__)


class OpenVinoBackend:
    """The graph in two halves: the network compiled once for canvases of any size, the decoder also for frequent ones.

    A decoder of fixed shapes takes 0.6 times as long: it has a thousand small operators whose shapes are otherwise
    worked out in every inference. A network of fixed shapes takes 0.9 times as long, which is not worth its memory.

    `cut_at` names the tensors where the network ends. OpenVINO's bf16 moves pixels between people when it computes
    the decoder, so the halves have precisions of their own; without names all of the graph is the decoder.
    With `cache`, a folder, what was compiled is kept there: a second start takes a tenth of the time.

    Raises BackendError for bf16 on a CPU without it and for a name that is no tensor.
    """

    name, parallel = "openvino", 1

    def __init__(
        self,
        graph: Path,
        *,
        cut_at: Sequence[str] = (),
        precision: str = "f32",
        threads: int = 0,
        cache: Path | None = None,
    ) -> None:
        core = ov.Core()
        if precision == "bf16" and not (
            "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") and supports_bf16()
        ):
            raise BackendError(
                "HUMANPARSE_PRECISION=bf16 needs a CPU with AVX512-BF16 or AMX, which this one lacks: use auto or f32"
            )
        self.precision = precision
        options = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        if cache:
            options["CACHE_DIR"] = str(cache / "openvino")

        def compiled(model: ov.Model, precision: str, **more: str) -> ov.InferRequest:
            chosen = {**options, "INFERENCE_PRECISION_HINT": precision, **more}
            return core.compile_model(model, "CPU", chosen).create_infer_request()

        self._network: ov.InferRequest | None = None
        if cut_at:
            try:
                network, decoder, hint = read_halves(graph, cut_at, precision)
            except ValueError as error:
                raise BackendError(str(error)) from error
            self._network = compiled(network, hint)
        else:
            decoder = core.read_model(graph)
        # Fusing small operators (OpenVINO's snippets) takes 40 MB, and saves time where shapes are fixed alone.
        any_size = compiled(decoder, "f32", SNIPPETS_MODE="DISABLE")
        self._decode = _Decoder(decoder, any_size, lambda model: compiled(model, "f32"))

    def infer(self, canvas: NDArray[np.uint8], views: int = 1) -> RawPrediction:
        """Run one canvas, uint8 [H, W, 3]; with horizontal-flip TTA (test-time augmentation) if `views` is 2."""
        tensors: Tensors = {"image": canvas[None].repeat(views, 0)}
        if self._network is not None:
            tensors |= _run(self._network, tensors)
        return self._decode(tensors)


class _Decoder:
    """The decoder for canvases of any size, and again for each of the few that come most often.

    Those are compiled in a thread of their own and take over once they have given the answer of the first.
    """

    def __init__(
        self, model: ov.Model, any_size: ov.InferRequest, compile_model: Callable[[ov.Model], ov.InferRequest]
    ) -> None:
        self._model, self._any_size, self._compile = model, any_size, compile_model
        self._fixed: dict[Shape, ov.InferRequest] = {}  # by the shape of the image
        self._unfit: set[Shape] = set()  # for which no decoder of their own can be used
        self._recent: deque[Shape] = deque(maxlen=RECENT)
        self._compiling: Thread | None = None

    def __call__(self, tensors: Tensors) -> RawPrediction:
        shape = tensors["image"].shape
        self._recent.append(shape)
        fixed = self._fixed.get(shape)
        people = RawPrediction.first_of(_run(fixed or self._any_size, tensors))
        if fixed is None and shape not in self._unfit and not (self._compiling and self._compiling.is_alive()):
            counts = Counter(self._recent)
            pixels = {known: counts[known] * math.prod(known) for known in (shape, *self._fixed)}  # what time goes with
            least = min(self._fixed, key=pixels.__getitem__) if len(self._fixed) == DECODERS else None
            # Twice as many as the one whose place it takes, so that equals do not drive each other out.
            if counts[shape] >= OFTEN and (least is None or pixels[shape] > 2 * pixels[least]):
                copies = {name: value.copy() for name, value in tensors.items()}
                self._compiling = Thread(target=self._add, args=(copies, people, least), name="compile")
                self._compiling.start()
        return people

    def _add(self, tensors: Tensors, expected: RawPrediction, instead_of: Shape | None) -> None:
        shape = tensors["image"].shape
        self._unfit.add(shape)  # until it has shown otherwise: what fails once is not tried at every image
        model = self._model.clone()
        names = [next(n for n in port.get_names() if n in tensors) for port in model.inputs]
        model.reshape({name: ov.PartialShape(list(tensors[name].shape)) for name in names})
        request = self._compile(model)
        found = RawPrediction.first_of(_run(request, tensors))
        same = np.mean((found.part_map == expected.part_map) & (found.person_map == expected.person_map))
        if same < MATCH:
            log.warning("the decoder for %s gives another answer: not used", shape)
            return
        if instead_of:
            del self._fixed[instead_of]
        self._fixed[shape] = request
        self._unfit.discard(shape)


def _run(request: ov.InferRequest, tensors: Tensors) -> Tensors:
    """Return the outputs by all their names, in memory that the next run uses again."""
    ports = enumerate(request.model_inputs)
    request.infer({i: tensors[n] for i, port in ports for n in port.get_names() if n in tensors}, share_inputs=True)
    return {n: request.get_tensor(port).data for port in request.model_outputs for n in port.get_names()}
