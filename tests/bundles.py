"""A bundle whose graph needs no training: people are red and blue pixels, parts are their shades of green.

The graph keeps the contract of the real one, names where its "network" ends, and is exact, so that tests can say what
must come out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.config import DecoderConfig, ModelConfig
from model.manifest import CARD, GOLDEN, GRAPH, MANIFEST, Manifest, sha256_of
from model.onnxruntime import ort
from model.taxonomy import PASCAL_PERSON_PART

PEOPLE = 4
PARTS, JOINTS = len(PASCAL_PERSON_PART.part_names), len(PASCAL_PERSON_PART.joint_names)
SCORES = (0.9, 0.8)
HEADS = ("red", "green", "blue")
CANVASES = {
    "fast": ((64, 96), (96, 64)),
    "standard": ((128, 192), (160, 160), (192, 128)),
    "high": ((256, 384), (384, 256)),
    "finest": ((256, 384), (384, 256)),
}
VIEWS = {"finest": 2}


def color(person: int, part: int) -> tuple[int, int, int]:
    """RGB of a part (1..6) of person 1 (red) or 2 (blue)."""
    green = (part - 1) * 43 + 21
    return (220, green, 40) if person == 1 else (40, green, 220)


def figure_image(size: tuple[int, int], *figures: tuple[int, int, tuple[int, int, int, int]]) -> np.ndarray:
    """An RGB image [height, width, 3] with rectangles: (person, part, (x1, y1, x2, y2)) on black."""
    image = np.zeros((*size, 3), dtype=np.uint8)
    for person, part, (x1, y1, x2, y2) in figures:
        image[y1:y2, x1:x2] = color(person, part)
    return image


def figure_bundle(folder: Path, *, name: str = "figures", scales: dict[str, tuple[str, ...]] | None = None) -> Path:
    """Write the bundle into `folder` and return it.

    Person 1 is where red > 1/2 >= blue, person 2 the other way round; each has the joints 0 at its centroid and 1
    twenty canvas pixels below. A magenta pixel (red and blue > 3/4, green < 1/4) makes an overflow of 3.
    """
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_figure_graph(), folder / GRAPH)
    (folder / CARD).write_text("# Figures\nA graph for tests.\n", encoding="utf-8")
    session = ort.InferenceSession(folder / GRAPH, providers=["CPUExecutionProvider"])
    golden = {}
    for detail, sizes in CANVASES.items():
        canvas = figure_image(sizes[0], (1, 2, (5, 8, 30, 50)), (2, 4, (40, 10, 60, 60)))
        part_map, person_map = session.run(["part_map", "person_map"], {"image": canvas[None]})
        golden |= {
            f"{detail}_image": canvas,
            f"{detail}_part_map": part_map[0],
            f"{detail}_person_map": person_map[0],
        }
    np.savez_compressed(folder / GOLDEN, **golden)
    write_manifest(folder, name=name, scales=scales)
    return folder


def write_manifest(folder: Path, *, name: str = "figures", scales: dict[str, tuple[str, ...]] | None = None) -> None:
    """Write a manifest that matches the folder's files; levels in `scales` are united, and seen once."""
    manifest = Manifest(
        name=name,
        version="1",
        taxonomy=PASCAL_PERSON_PART,
        model=ModelConfig(taxonomy="pascal_person_part"),
        decoder=DecoderConfig(max_people=PEOPLE),
        canvases=CANVASES,
        views={} if scales else VIEWS,
        scales=scales or {},
        decoder_inputs=HEADS,
        data="none",
        data_licenses={"cc0": 3},
        weights_licence="CC0-1.0",
        sha256={name: sha256_of(folder / name) for name in (GRAPH, CARD, GOLDEN)},
    )
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")


def _figure_graph() -> onnx.ModelProto:
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    def op(kind: str, *inputs: str, to: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [to], name=to, **attributes))
        return to

    def cast(value: str, kind: int, to: str) -> str:
        nodes.append(helper.make_node("Cast", [value], [to], name=to, to=kind))
        return to

    def number(value: float) -> str:
        return constant(f"number_{len(constants)}", np.float32(value))

    def axes(*values: int) -> str:
        return constant(f"axes_{len(constants)}", np.array(values, dtype=np.int64))

    # The "network": channels in [0, 1], [B, H, W] each.
    cast("image", TensorProto.FLOAT, to="pixels")
    op("Div", "pixels", number(255), to="scaled")
    for channel, head in enumerate(HEADS):
        op("Gather", "scaled", constant(f"channel_{channel}", np.int64(channel)), to=head, axis=3)

    # The "decoder".
    half = number(0.5)
    op("Greater", "red", half, to="is_red")
    op("Greater", "blue", half, to="is_blue")
    op("Not", "is_red", to="not_red")
    op("Not", "is_blue", to="not_blue")
    cast(op("And", "is_red", "not_blue", to="first"), TensorProto.FLOAT, to="mask_1")
    cast(op("And", "is_blue", "not_red", to="second"), TensorProto.FLOAT, to="mask_2")
    op("Add", "mask_1", op("Mul", "mask_2", number(2), to="twice"), to="person_float")
    op("Floor", op("Mul", "green", number(255 / 43), to="shade"), to="shade_floor")
    op("Add", "shade_floor", number(1), to="part_any")
    op("Mul", "part_any", op("Add", "mask_1", "mask_2", to="anybody"), to="part_float")
    for kind in ("part", "person"):
        cast(f"{kind}_float", TensorProto.UINT8, to=f"{kind}_map")

    op("Add", op("Mul", "red", number(0), to="zeros"), number(1), to="ones")
    op("Sub", op("CumSum", "ones", constant("axis_x", np.int64(2)), to="x_from_1"), number(1), to="x")
    op("Sub", op("CumSum", "ones", constant("axis_y", np.int64(1)), to="y_from_1"), number(1), to="y")
    people, scores, part_scores = [], [], []
    for p in (1, 2):
        area = op("ReduceSum", f"mask_{p}", axes(1, 2), to=f"area_{p}", keepdims=0)  # [B]
        present = op("Min", area, number(1), to=f"present_{p}")
        divisor = op("Max", area, number(1), to=f"divisor_{p}")
        center = []
        for axis in ("x", "y"):
            moment = op("Mul", f"mask_{p}", axis, to=f"moment_{axis}_{p}")
            total = op("ReduceSum", moment, axes(1, 2), to=f"sum_{axis}_{p}", keepdims=0)
            center.append(op("Div", total, divisor, to=f"centre_{axis}_{p}"))
        below = op("Add", center[1], op("Mul", present, number(20), to=f"down_{p}"), to=f"below_{p}")
        low = op("Mul", present, number(0.5), to=f"low_{p}")
        values = [center[0], center[1], present, center[0], below, low]
        columns = [op("Unsqueeze", v, axes(1), to=f"column_{p}_{i}") for i, v in enumerate(values)]
        found = op("Concat", *columns, to=f"found_{p}", axis=1)  # [B, 6]
        padded = op("Pad", found, axes(0, 0, 0, JOINTS * 3 - 6), to=f"joints_{p}")  # [B, 3K]
        shaped = op("Reshape", padded, axes(0, 1, JOINTS, 3), to=f"person_{p}")
        people.append(shaped)
        scores.append(op("Unsqueeze", op("Mul", present, number(SCORES[p - 1]), to=f"s_{p}"), axes(1), to=f"score_{p}"))
        for part in range(1, PARTS + 1):
            same = op("Equal", "part_float", number(part), to=f"same_{p}_{part}")
            alike = cast(same, TensorProto.FLOAT, to=f"alike_{p}_{part}")
            own = op("Mul", alike, f"mask_{p}", to=f"own_{p}_{part}")
            most = op("ReduceMax", own, axes(1, 2), to=f"most_{p}_{part}", keepdims=0)
            score = op("Mul", most, number(0.75), to=f"part_score_{p}_{part}")
            part_scores.append(op("Unsqueeze", score, axes(1), to=f"part_column_{p}_{part}"))
    op("Pad", op("Concat", *people, to="both", axis=1), axes(0, 0, 0, 0, 0, PEOPLE - 2, 0, 0), to="keypoints")
    op("Pad", op("Concat", *scores, to="both_scores", axis=1), axes(0, 0, 0, PEOPLE - 2), to="person_score")
    table = op("Concat", *part_scores, to="part_columns", axis=1)
    op("Reshape", table, axes(0, 2, PARTS), to="part_table")
    op("Pad", "part_table", axes(0, 0, 0, 0, PEOPLE - 2, 0), to="part_score")

    magenta = op("Min", "red", "blue", op("Sub", "ones", "green", to="not_green"), to="magenta")
    most = op("ReduceMax", magenta, axes(1, 2), to="most_magenta", keepdims=0)
    over = cast(op("Greater", most, number(0.75), to="is_over"), TensorProto.INT32, to="over")
    op("Mul", over, constant("three", np.int32(3)), to="overflow")

    batch, height, width = "B", "H", "W"
    outputs = [
        ("part_map", TensorProto.UINT8, [batch, height, width]),
        ("person_map", TensorProto.UINT8, [batch, height, width]),
        ("keypoints", TensorProto.FLOAT, [batch, PEOPLE, JOINTS, 3]),
        ("person_score", TensorProto.FLOAT, [batch, PEOPLE]),
        ("part_score", TensorProto.FLOAT, [batch, PEOPLE, PARTS]),
        ("overflow", TensorProto.INT32, [batch]),
    ]
    graph = helper.make_graph(
        nodes,
        "figures",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, height, width, 3])],
        [helper.make_tensor_value_info(*output) for output in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model
