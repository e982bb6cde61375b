"""Convert labels of an annotation tool to a training folder."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from model.errors import InputError
from model.taxonomy import TAXONOMIES, get_taxonomy
from training.data.convert.coco import read_instances, read_panoptic
from training.data.convert.label_studio import read_label_studio
from training.data.convert.labels import ClassMap, read_class_map
from training.data.convert.rasterize import rasterize
from training.data.convert.writer import FolderWriter
from training.data.samples import DatasetError

HELP = "turn labels of an annotation tool into folders to train on"
FORMATS = ("coco-panoptic", "coco-instances", "label-studio")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the export's JSON file")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    parser.add_argument("--taxonomy", choices=list(TAXONOMIES), default="densepose_coco", help="its parts and joints")
    parser.add_argument("--class-map", type=Path, help="JSON object from the tool's names to the taxonomy's")
    parser.add_argument("--images", type=Path, help="folder of the images; else looked for beside SOURCE")
    parser.add_argument("--people", type=Path, help="coco-panoptic: COCO instances or keypoints of the same images")
    parser.add_argument("--one-person", action="store_true", help="images whose labels name no person show one person")
    parser.add_argument("--link", action="store_true", help="hard links to the images instead of copies")
    parser.add_argument("--strict", action="store_true", help="stop at the first broken entry instead of skipping it")


def run(chosen: argparse.Namespace) -> int:
    """Convert all valid entries, and report the others."""
    taxonomy = get_taxonomy(chosen.taxonomy)
    names = ClassMap(taxonomy, {} if chosen.class_map is None else read_class_map(chosen.class_map))
    if chosen.people is not None and chosen.format != "coco-panoptic":
        raise InputError(f"--people belongs to coco-panoptic; {chosen.format} names people itself")
    if chosen.format == "coco-panoptic":
        entries = read_panoptic(chosen.source, names, chosen.images, chosen.people)
    else:
        read = read_instances if chosen.format == "coco-instances" else read_label_studio
        entries = read(chosen.source, names, chosen.images)
    writer = FolderWriter(chosen.out, taxonomy, chosen.link)
    broken = []
    for entry in tqdm(entries, unit="image", disable=None):
        try:
            labels = entry.read()
            writer.add(labels.image, rasterize(labels, names, taxonomy, chosen.one_person))
        except DatasetError as error:
            broken.append(f"{entry.name}: {error}")
            if chosen.strict:
                raise DatasetError(broken[0]) from error
    for line in broken:
        print(f"skipped {line}", file=sys.stderr)
    _report_unknown("parts, written as unknown", names.unknown_parts)
    _report_unknown("joints, left out", names.unknown_joints)
    if not writer.images:
        raise DatasetError(f"none of {len(entries)} entries of {chosen.source} could be converted")
    writer.finish()
    print(f"{len(writer.images)} images of {len(writer.annotations)} people in {chosen.out}; {len(broken)} skipped")
    print(f"look at them: python -m training inspect {chosen.out} --out {chosen.out / 'inspect.png'}")
    return 0


def _report_unknown(what: str, names: Counter[str]) -> None:
    if names:
        found = ", ".join(f"{name!r} ({count})" for name, count in names.most_common())
        print(f"warning: unknown {what}: {found}; name them in a --class-map file: "
              '{"theirs": "ours"}, also "ignore", "background" or "person"', file=sys.stderr)  # fmt: skip
