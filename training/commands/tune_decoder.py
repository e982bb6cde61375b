"""Tune the decoder's thresholds of a checkpoint on its training images."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import torch

from model.canvases import CANVASES, SINGLE_PASS
from model.checkpoint import load_parser
from model.errors import InputError
from training.data.datasets.license_filter import with_licenses
from training.data.datasets.open import open_split
from training.data.licenses import chosen_licenses
from training.evaluation.threshold_tuning import CHOICES, select_images, trial_table, tune_thresholds

HELP = "tune the decoder's thresholds for a checkpoint"
SHOWN = 8  # trials in the table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("checkpoint", type=Path, help="written by python -m training train")
    parser.add_argument("data", nargs="+", type=Path, help="the data sets that it was trained on")
    parser.add_argument("--exclude", type=Path, metavar="LIST", help="keys of images not to tune on, one per line")
    parser.add_argument("--licenses", metavar="CODE,CODE", help="those that the run was restricted to")
    parser.add_argument("--detail", choices=SINGLE_PASS, default="standard", help="level of detail: canvas size")
    parser.add_argument("--num-images", type=int, default=60, metavar="N", help="with people, and as many person-free")


def run(chosen: argparse.Namespace) -> int:
    """Print the best trials, and the option of `python -m export` that applies the first of them."""
    if chosen.num_images < 1:
        raise InputError(f"--num-images {chosen.num_images}: choose on at least one")
    parser = load_parser(chosen.checkpoint)
    parser.to("cuda" if torch.cuda.is_available() else "cpu")
    dataset, training, _ = open_split(chosen.data, parser.decoder.taxonomy, chosen.exclude)
    if chosen.licenses is not None:
        training, _ = with_licenses(dataset, training, chosen_licenses(chosen.licenses))
    indices = select_images(dataset, training, chosen.num_images)
    trials = tune_thresholds(parser, dataset, indices, CANVASES[chosen.detail])
    best = asdict(trials[0].config)
    print(f"{len(trials)} trials on {len(indices)} images that were trained on, detail {chosen.detail}\n")
    print(trial_table(trials[:SHOWN]))
    print(f"\n--decoder {' '.join(f'{name}={best[name]:g}' for name in CHOICES)}")
    return 0
