"""Calibrate person scores of a checkpoint: fit them to the share of correct people on its training images."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from model.canvases import CANVASES, SINGLE_PASS
from model.checkpoint import load_parser
from model.config import apply_overrides
from model.errors import InputError
from model.parser import HumanParser
from training.data.datasets.open import open_split
from training.evaluation.calibration import (
    calibrated,
    calibration_error,
    fit_calibration,
    reliability,
    score_people,
)
from training.evaluation.threshold_tuning import select_images

HELP = "fit person scores to the share of people that are right"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("checkpoint", type=Path, help="written by python -m training train")
    parser.add_argument("data", nargs="+", type=Path, help="the data sets that it was trained on")
    parser.add_argument("--exclude", type=Path, metavar="LIST", help="keys of images not to fit on, one per line")
    parser.add_argument("--detail", choices=SINGLE_PASS, default="standard", help="level of detail: canvas size")
    parser.add_argument("--num-images", type=int, default=200, metavar="N", help="with people, and as many without")
    parser.add_argument(
        "--decoder", nargs="*", default=[], metavar="NAME=VALUE", help="instead of the checkpoint's own"
    )


def run(chosen: argparse.Namespace) -> int:
    """Print the reliability before and after, and the option of `python -m export` that applies the fit."""
    if chosen.num_images < 1:
        raise InputError(f"--num-images {chosen.num_images}: fit on at least one")
    trained = load_parser(chosen.checkpoint)
    decoder = replace(apply_overrides(trained.decoder.config, chosen.decoder), calibration=(0.0, 0.0, 0.0))
    parser = HumanParser(trained.network, decoder).eval()
    parser.to("cuda" if torch.cuda.is_available() else "cpu")
    dataset, training, _ = open_split(chosen.data, parser.decoder.taxonomy, chosen.exclude)
    people = score_people(parser, dataset, select_images(dataset, training, chosen.num_images), CANVASES[chosen.detail])
    weights = fit_calibration(people)
    before, after = (
        reliability(probability, people.right) for probability in (people.score, calibrated(people, weights))
    )
    print(f"{len(people.score)} people, {people.right.mean():.0%} right (OKS over 0.5), detail {chosen.detail}\n")
    print("| mean score | right | people |\n|---:|---:|---:|")
    for said, was, count in after:
        print(f"| {said:.2f} | {was:.2f} | {count} |")
    print(f"\nexpected calibration error {calibration_error(before):.3f} before, {calibration_error(after):.3f} after")
    *of_joints, of_parts = (f"{weight:g}" for weight in weights)
    print(f"\n--decoder calibration={','.join(of_joints)} calibration_part_weight={of_parts}")
    return 0
