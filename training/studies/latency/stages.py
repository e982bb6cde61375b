"""A parser in two halves that can be timed apart: a checkpoint in torch, a bundle in OpenVINO, which serves it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from model.canvases import CANVASES
from model.checkpoint import load_parser
from model.config import DecoderConfig
from model.decoder.decode import People
from model.errors import InputError
from model.manifest import GRAPH, Size, read_bundle
from model.maps import HeadMaps, decoder_inputs
from model.openvino import core, ov, split_model
from model.raw_prediction import RawPrediction
from model.taxonomy import Taxonomy
from training.data.samples import Float32, UInt8
from training.inference.predictors import first_canvas
from training.studies.latency.machine import machine, synchronize


class Stages(ABC):
    """Network, decoder and both together, for canvases that `put` moved to their device.

    Results of `network`, `decoder` and `whole` may be overwritten by the next call; `keep` copies them.
    """

    name: str
    kind: str  # "checkpoint", "bundle"
    runtime: str  # the library and its version
    precision: str  # of the network; the decoder's is float32
    taxonomy: Taxonomy
    config: DecoderConfig
    canvases: dict[str, tuple[Size, ...]]
    batched: bool  # whether the network takes more than one canvas at a time
    machine: dict[str, str | int]

    @abstractmethod
    def put(self, array: NDArray[Any]) -> Any:
        """Move an array to the device, before the clock starts."""

    @abstractmethod
    def network(self, canvas: Any) -> Any:
        """Compute head maps from canvases uint8 [B, H, W, 3]."""

    @abstractmethod
    def decoder(self, canvas: Any, maps: Any) -> Any:
        """Compute people from head maps of a canvas of this size: a graph may read the size from the canvas."""

    @abstractmethod
    def whole(self, canvas: Any) -> Any:
        """Compute people from canvases."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until all calls are finished."""

    @abstractmethod
    def people(self, outputs: Any) -> RawPrediction:
        """Convert the output of `decoder` or `whole` for the first canvas."""

    def keep(self, outputs: Any) -> Any:
        """Return a copy that later calls do not change."""
        return deepcopy(outputs)

    @abstractmethod
    def from_labels(self, maps: dict[str, Float32]) -> Any:
        """Convert head maps by name to the input of `decoder`."""

    def parse(self, canvas: UInt8) -> RawPrediction:
        """Return the people of one canvas [H, W, 3]."""
        return self.people(self.whole(self.put(canvas[None])))


class TorchStages(Stages):
    """A checkpoint, on the accelerator if there is one; the network may compute in bfloat16."""

    kind, batched = "checkpoint", True

    def __init__(self, path: Path, precision: str = "float32") -> None:
        """Raises CheckpointError."""
        self._parser = load_parser(path)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._parser.to(self._device).requires_grad_(False)
        self.name, self.precision, self.runtime = path.name, precision, f"torch {torch.__version__}"
        self.taxonomy, self.config = self._parser.decoder.taxonomy, self._parser.decoder.config
        self.canvases = CANVASES
        self.machine = machine(self._device, torch.get_num_threads())

    def put(self, array: NDArray[Any]) -> torch.Tensor:  # noqa: D102
        return torch.from_numpy(array).to(self._device)

    def network(self, canvas: torch.Tensor) -> HeadMaps:  # noqa: D102
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            maps: HeadMaps = self._parser.network(canvas)
        return maps

    def decoder(self, canvas: torch.Tensor, maps: HeadMaps) -> People:  # noqa: D102
        people: People = self._parser.decoder(maps)
        return people

    def whole(self, canvas: torch.Tensor) -> People:  # noqa: D102
        return self.decoder(canvas, self.network(canvas))

    def wait(self) -> None:  # noqa: D102
        synchronize(self._device)

    def people(self, outputs: People) -> RawPrediction:  # noqa: D102
        return first_canvas(outputs)

    def from_labels(self, maps: dict[str, Float32]) -> HeadMaps:  # noqa: D102
        return HeadMaps(**{name: self.put(m) for name, m in maps.items()})


class OpenVinoStages(Stages):
    """A bundle on the CPU in float32: the whole graph, and the graph split at the head maps.

    Tensors are identified by name.
    """

    kind, batched, precision, runtime = "bundle", False, "float32", f"openvino {ov.__version__.partition('-')[0]}"

    def __init__(self, folder: Path) -> None:
        """Raises BundleError; InputError if the graph's network ends at other tensors than the head maps."""
        manifest = read_bundle(folder)
        if manifest.decoder_inputs != decoder_inputs(manifest.decoder):
            raise InputError(
                f"the network of {folder} ends at {', '.join(manifest.decoder_inputs)}, not at "
                f"{', '.join(decoder_inputs(manifest.decoder))}: export it again with this version"
            )
        graph = folder / GRAPH
        network, decoder = split_model(core.read_model(graph), manifest.decoder_inputs)
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        compiled = [core.compile_model(m, "CPU", options) for m in (core.read_model(graph), network, decoder)]
        self._whole, self._network, self._decoder = (model.create_infer_request() for model in compiled)
        self.name = f"{manifest.name} {manifest.version}"
        self.taxonomy, self.config, self.canvases = manifest.taxonomy, manifest.decoder, manifest.canvases
        self.machine = machine(torch.device("cpu"), int(compiled[0].get_property("INFERENCE_NUM_THREADS")))

    def put(self, array: NDArray[Any]) -> NDArray[Any]:  # noqa: D102
        return array

    def network(self, canvas: UInt8) -> dict[str, NDArray[Any]]:  # noqa: D102
        return _infer(self._network, {"image": canvas})

    def decoder(self, canvas: UInt8, maps: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:  # noqa: D102
        return _infer(self._decoder, {"image": canvas, **maps})

    def whole(self, canvas: UInt8) -> dict[str, NDArray[Any]]:  # noqa: D102
        return _infer(self._whole, {"image": canvas})

    def wait(self) -> None:
        """Calls return when they are done."""

    def people(self, outputs: dict[str, NDArray[Any]]) -> RawPrediction:  # noqa: D102
        return RawPrediction.first_of(outputs)

    def from_labels(self, maps: dict[str, Float32]) -> dict[str, Float32]:  # noqa: D102
        return maps


def _infer(request: ov.InferRequest, tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    wanted = {name: tensors[name] for port in request.model_inputs for name in port.get_names() if name in tensors}
    request.infer(wanted, share_inputs=True)
    return {name: request.get_tensor(p).data for p in request.model_outputs for name in p.get_names()}
