"""The bundle's manifest: the one thing that passes from export to service. Torch-free.

A bundle is a folder with `parser.onnx`, `MODEL_CARD.md` and the `manifest.json` described here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model import legacy_names
from model.config import CANVAS_MULTIPLE, DecoderConfig, ModelConfig
from model.errors import UserError
from model.taxonomy import Taxonomy

FORMAT = 1  # raised when a field changes its meaning; a service reads exactly one format
MANIFEST, GRAPH, CARD = "manifest.json", "parser.onnx", "MODEL_CARD.md"
SAMPLE = "sample.jpg"  # an image that may be shared, for benchmarks and first tries
GOLDEN = "golden.npz"  # optional: a canvas and its maps for each level of detail, to check a runtime against
BATCH = "parser.batch.onnx"  # optional: the graph for batches of different images, for runtimes on a GPU
INT8 = "network.int8.xml"  # optional: the network in int8 for OpenVINO, listed with its weights (.bin) beside it
# Made by the machine that serves, hence unlisted in the manifest.
ENGINES = "engines"  # folder: files of the ending `Manifest.engine_ending`, each for one GPU and TensorRT version
PARITY = "parity.json"  # how far each runtime of a machine is from ONNX Runtime in float32

Size = tuple[int, int]  # height, width


class BundleError(UserError):
    """A bundle cannot be served: a file is missing, altered, or of another format. The message names the remedy."""


@dataclass(frozen=True)
class Manifest:
    """Metadata of a bundle, for a service that has not run it yet.

    `canvases` lists, for each level of detail from coarse to fine, the canvas sizes (height, width) of about equal
    area that an image may be letterboxed into; the graph accepts any multiple of 32, these are the tested ones.
    `scales` names, for each level that is united from two others, the coarse and the fine one (`model.two_scales`).
    `views` says at which of these levels the network sees a canvas twice, as it is and in a mirror; at others once.
    `decoder_inputs` names the tensors inside the graph where the network ends and the decoder begins: a runtime that
    computes the network in a lower precision cuts there, because the decoder must stay float32.
    `accuracy` is what the evaluation measured; `data` and `weights_licence` say what the weights may be used for.
    `data_licenses` counts the images that they learned from by licence, where the training recorded it.
    """

    name: str
    version: str
    taxonomy: Taxonomy
    model: ModelConfig
    decoder: DecoderConfig
    canvases: dict[str, tuple[Size, ...]]
    decoder_inputs: tuple[str, ...]
    data: str
    weights_licence: str
    sha256: dict[str, str]  # of every other file of the bundle
    accuracy: dict[str, Any] = field(default_factory=dict)
    views: dict[str, int] = field(default_factory=dict)
    scales: dict[str, tuple[str, ...]] = field(default_factory=dict)
    data_licenses: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for detail, sizes in self.canvases.items():
            if not sizes or any(side % CANVAS_MULTIPLE or side <= 0 for size in sizes for side in size):
                raise BundleError(f"canvas sizes of {detail!r} must be multiples of {CANVAS_MULTIPLE}: {sizes}")
        for detail, views in self.views.items():
            if detail not in self.canvases or views not in (1, 2):
                raise BundleError(f"{detail!r} is seen {views} times: name a level of detail, and 1 or 2")

        for detail, names in self.scales.items():
            if len(names) != 2 or not {detail, *names} <= self.canvases.keys() or {*names} & self.scales.keys():
                raise BundleError(f"{detail!r} is united from {names}: name two levels of detail, which are not united")
            if self.canvases[detail] != self.canvases[names[1]]:
                raise BundleError(f"{detail!r} has other canvases than {names[1]!r}, in whose frame it is united")

    def scales_of(self, detail: str) -> tuple[str, ...]:
        """The levels whose canvases are seen at a level of detail: itself, or a coarse and a fine one."""
        return self.scales.get(detail, (detail,))

    def views_at(self, detail: str) -> int:
        """Return the number of TTA passes at a level of detail."""
        return self.views.get(detail, 1)

    def engine_ending(self, precision: str) -> str:
        """How the name of an engine ends that computes this bundle's network in a precision."""
        return f"-{self.sha256[GRAPH][:8]}.{precision}.engine"

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        value = {"format": FORMAT, **dataclasses.asdict(self), "taxonomy": self.taxonomy.to_dict()}
        return json.dumps(value, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read `manifest.json`. Raises BundleError for another format or a missing or mistyped field."""
        try:
            value = json.loads(text)
            found = value.pop("format", None)
            if found != FORMAT:
                raise BundleError(f"bundle format {found!r} is not {FORMAT}: export it again with this version")
            value["taxonomy"] = Taxonomy.from_dict(value["taxonomy"])
            value["model"] = ModelConfig(**legacy_names.current(value["model"], legacy_names.MODEL))
            if "calibration" in value["decoder"]:
                value["decoder"]["calibration"] = tuple(value["decoder"]["calibration"])
            value["decoder"] = DecoderConfig(**legacy_names.current(value["decoder"], legacy_names.DECODER))
            value["canvases"] = {k: tuple((int(h), int(w)) for h, w in v) for k, v in value["canvases"].items()}
            value["accuracy"] = legacy_names.current(value.get("accuracy", {}), legacy_names.METRICS)
            value["decoder_inputs"] = tuple(value["decoder_inputs"])
            value["scales"] = {name: tuple(of) for name, of in value.get("scales", {}).items()}
            value["data_licenses"] = {str(k): int(n) for k, n in dict(value.get("data_licenses", {})).items()}
            return cls(**value)
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"manifest.json is damaged ({error!r}): copy or export the bundle again") from error


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_files(folder: Path, manifest: Manifest, *names: str) -> None:
    """Write a bundle's manifest anew, with the sums of files that were added to the bundle."""
    sums = {name: sha256_of(folder / name) for name in names}
    listed = dataclasses.replace(manifest, sha256={**manifest.sha256, **sums})
    (folder / MANIFEST).write_text(listed.to_json(), encoding="utf-8")


def read_bundle(folder: Path) -> Manifest:
    """The manifest of a bundle whose files are all there and unaltered. Raises BundleError."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{folder} is not a bundle: it has no {MANIFEST}; make one with python -m export")
    manifest = Manifest.from_json(path.read_text(encoding="utf-8"))
    for name, expected in manifest.sha256.items():
        file = folder / name
        if not file.is_file():
            raise BundleError(f"{file} is missing: copy or export the bundle again")
        if sha256_of(file) != expected:
            raise BundleError(f"{file} differs from its manifest (sha256): copy or export the bundle again")
    if GRAPH not in manifest.sha256:
        raise BundleError(f"{path} lists no {GRAPH}: export the bundle again")
    return manifest
