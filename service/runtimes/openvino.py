"""Runs the graph in OpenVINO on a CPU: the network in bf16 if the CPU supports it or in int8, the decoder in f32."""

from __future__ import annotations

import logging
import math
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread, get_native_id
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.cpu import supports_bf16
from model.openvino import core, ov, read_halves
from model.raw_prediction import RawPrediction
from service.runtimes.types import BackendError, Size

RECENT = 48  # inferences among which a canvas that comes often is sought
OFTEN = 12  # of them; more than a start-up runs any canvas
MATCH = 0.99  # of the pixels, between a graph for one canvas and the one for all
NICE = 10  # of the thread that compiles while others serve

Tensors = dict[str, NDArray[Any]]
Shape = tuple[int, ...]
log = logging.getLogger(__name__)


class OpenVinoBackend:
    """The graph compiled once for canvases of any size, and again for the few that come most often.

    There the network takes 0.94 times as long and the decoder 0.5 times: it has a thousand small operators
    whose shapes are otherwise worked out in every inference.

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

        def compiled_for(shape: Shape | None) -> _Graph:
            # Read again each time: that takes less than keeping it.
            network, decoder, hint = (
                read_halves(graph, cut_at, precision) if cut_at else (None, core.read_model(graph), "")
            )
            if shape:
                _fix(network, decoder, shape)
            # Fusing small operators (OpenVINO's snippets) takes 40 MB, and saves time where shapes are fixed alone.
            more = {} if shape else {"SNIPPETS_MODE": "DISABLE"}
            with ThreadPoolExecutor(2) as pool:
                ready = network and pool.submit(compiled, network, hint)
                decoder = pool.submit(compiled, decoder, "f32", **more)
                return _Graph(ready and ready.result(), decoder.result())

        try:
            self._any_size = compiled_for(None)
        except ValueError as error:
            raise BackendError(str(error)) from error
        self._frequent = _Frequent(compiled_for)

    def infer(self, canvas: NDArray[np.uint8], views: int = 1) -> RawPrediction:
        """Run one canvas, uint8 [H, W, 3]; with horizontal-flip TTA (test-time augmentation) if `views` is 2."""
        image = canvas[None].repeat(views, 0)
        own = self._frequent.graph(image.shape)
        people = (own or self._any_size)(image)
        if own is None:
            self._frequent.consider(image, people)
        if self._any_size.held_values > self._frequent.values_of_others():
            self._any_size.release()
        return people

    def prepare(self, canvases: Sequence[tuple[Size, int]]) -> Callable[[], None]:
        """Begin to compile graphs for canvases; return what waits for them. Until then all run in the one for all.

        These keep their places until others come more often. What ran before the end is forgotten, and the memory of
        what ran before the beginning given back.
        """
        self._any_size.release()
        return self._frequent.start([(views, *size, 3) for size, views in canvases])

    def repeat(self) -> None:
        """From here on, answer an image alike whatever came before it: no graph replaces another.

        Each rounds in its own way, so that some pixels at contours differ.
        """
        self._frequent.settled = True


class _Graph:
    """Network and decoder, compiled: an image [V, H, W, 3] to people."""

    def __init__(self, network: ov.InferRequest | None, decoder: ov.InferRequest) -> None:
        self._network, self._decoder = network, decoder
        self.held_values = 0  # of the largest image since memory was given back

    def __call__(self, image: NDArray[np.uint8]) -> RawPrediction:
        self.held_values = max(self.held_values, image.size)
        tensors: Tensors = {"image": image}
        if self._network is not None:
            tensors |= _run(self._network, tensors)
        return RawPrediction.first_of(_run(self._decoder, tensors))

    def release(self) -> None:
        """Give the memory of activations back; the next run takes it again."""
        if self.held_values:
            for request in filter(None, (self._network, self._decoder)):
                request.get_compiled_model().release_memory()
            self.held_values = 0


class _Frequent:
    """Graphs for the canvases that come most often: as many as were prepared at the start, at least one.

    Another one is compiled in a thread of its own, and takes a place once it has given the answer of the graph for all.
    """

    def __init__(self, compile_for: Callable[[Shape], _Graph]) -> None:
        self._compile_for = compile_for
        self._graphs: dict[Shape, _Graph] = {}  # by the shape of the image; a thread may replace one
        self._places = 1
        self._unfit: set[Shape] = set()  # for which no graph of their own can be used
        self._recent: deque[Shape] = deque(maxlen=RECENT)
        self._compiling: Thread | None = None
        self.settled = False  # no other canvas gets a place

    def graph(self, shape: Shape) -> _Graph | None:
        """Return the graph for images of this shape, if there is one, and count the image."""
        self._recent.append(shape)
        return self._graphs.get(shape)

    def values_of_others(self) -> float:
        """Return how many values the largest image had that came of late and has no graph of its own."""
        if len(self._recent) < RECENT:
            return math.inf
        return max((math.prod(shape) for shape in set(self._recent) - self._graphs.keys()), default=0)

    def start(self, shapes: Sequence[Shape]) -> Callable[[], None]:
        """Begin to compile for images of these shapes; what waits for it forgets what came before."""
        pool = ThreadPoolExecutor(1)
        compiling = {shape: pool.submit(self._compile_for, shape) for shape in shapes}

        def wait() -> None:
            with pool:
                self._graphs = {shape: graph.result() for shape, graph in compiling.items()}
            self._places = max(1, len(self._graphs))
            self._recent.clear()

        return wait

    def consider(self, image: NDArray[np.uint8], people: RawPrediction) -> None:
        """Compile for an image that has come often; `people` is the answer of the graph for all."""
        shape = image.shape
        if self.settled or shape in self._unfit or (self._compiling and self._compiling.is_alive()):
            return
        counts = Counter(self._recent)
        pixels = {known: counts[known] * math.prod(known) for known in (shape, *self._graphs)}  # what time goes with
        least = min(self._graphs, key=pixels.__getitem__) if len(self._graphs) == self._places else None
        # Twice as many as the one whose place it takes, so that equals do not drive each other out.
        if counts[shape] >= OFTEN and (least is None or pixels[shape] > 2 * pixels[least]):
            self._compiling = Thread(target=self._replace, args=(least, image.copy(), people), name="compile")
            self._compiling.start()

    def _replace(self, least: Shape | None, image: NDArray[np.uint8], expected: RawPrediction) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own: inferences go first
            os.setpriority(os.PRIO_PROCESS, get_native_id(), NICE)
        shape = image.shape
        self._unfit.add(shape)  # until it has shown otherwise: what fails once is not tried at every image
        graph = self._compile_for(shape)
        found = graph(image)
        same = np.mean((found.part_map == expected.part_map) & (found.person_map == expected.person_map))
        if same < MATCH:
            log.warning("the graph for %s gives another answer: not used", shape)
            return
        self._graphs = {known: own for known, own in self._graphs.items() if known != least} | {shape: graph}
        self._unfit.discard(shape)


def _fix(network: ov.Model | None, decoder: ov.Model, shape: Shape) -> None:
    """Set the shapes of both halves for an image of `shape`."""
    known = {"image": ov.PartialShape(list(shape))}
    if network is not None:
        network.reshape(known)
        known |= {n: port.get_partial_shape() for port in network.outputs for n in port.get_names()}
    names = [next(n for n in port.get_names() if n in known) for port in decoder.inputs]
    decoder.reshape({name: known[name] for name in names})


def _run(request: ov.InferRequest, tensors: Tensors) -> Tensors:
    """Return the outputs by all their names, in memory that the next run uses again."""
    ports = enumerate(request.model_inputs)
    request.infer({i: tensors[n] for i, port in ports for n in port.get_names() if n in tensors}, share_inputs=True)
    return {n: request.get_tensor(port).data for port in request.model_outputs for n in port.get_names()}
