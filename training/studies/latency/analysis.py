"""Latency against the number of people in an image (the paper's Fig. 5), network and decoder apart.

It is compared with a top-down parser with the same network, which runs once per person, on a crop of that person.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.canvases import best_canvas
from model.config import STRIDE
from model.errors import InputError
from model.manifest import Size
from training.data.samples import Float32, Sample
from training.studies.latency.stages import Stages
from training.studies.latency.synthetic_scenes import SIZE, crops, tile_person
from training.transforms.augment import letterbox
from training.transforms.targets import Targets, encode, ideal_centers

CROP: Size = (256, 192)  # height, width of a person's crop for a top-down parser
TOP_DOWN_EVERY = 5  # rounds: top-down runs take many times as long as all others
SURE = 8.0  # logit of true labels, in maps made of labels
RESAMPLES = 2000

Task = Callable[[], object]
Times = NDArray[np.float64]


def analyse(stages: Stages, person: Sample, counts: Sequence[int], detail: str, rounds: int) -> dict[str, Any]:
    """Measure latencies of `stages` on images with copies of `person`, ready for JSON.

    Every round measures each task once (top-down ones: every fifth round), series by series and within a series the
    numbers of people, both in random order: other load of the machine then affects all alike. The series:
        whole: canvas to people, as it is served. network, decoder: its halves.
        decoder_on_labels: the decoder on maps of a perfect network, with all n people in them.
        top_down: the network once per person, on crops of 256 x 192. top_down_batch: on all crops at once.

    Raises InputError for no counts or rounds.
    """
    if not counts or rounds < 1:
        raise InputError("name at least one number of people, and at least one round")
    counts = sorted(set(counts))
    size = best_canvas(SIZE, stages.canvases[detail])
    found: dict[str, dict[int, int]] = {"in_image": {}, "in_labels": {}}
    tasks: dict[tuple[str, int], Task] = {}
    for n in counts:
        scene = tile_person(person, n)
        tasks |= {(name, n): task for name, task in _tasks(stages, scene, size).items()}
        for where, name in (("in_image", "whole"), ("in_labels", "decoder_on_labels")):
            score = stages.people(tasks[name, n]()).person_score
            found[where][n] = int((score > 0).sum())
    times = _times(stages, tasks, rounds)
    series = _series(tasks)
    few, many = counts[0], counts[-1]
    return {
        "detail": detail,
        "canvas": size,
        "image_size": SIZE,
        "crop": CROP,
        "candidates": stages.config.max_candidates,
        "slots": stages.config.max_people,
        "people": counts,
        "rounds": rounds,
        "found": found,
        "rounds_top_down": -(-rounds // TOP_DOWN_EVERY),
        "milliseconds": {name: {n: quartiles(times[name, n]) for n in counts} for name in series},
        "ratio": {name: {"people": [few, many], **ratio(times[name, many], times[name, few])} for name in series},
    }


def quartiles(values: Times) -> dict[str, float]:
    """Return the median and the quartiles."""
    low, median, high = np.percentile(values, [25, 50, 75]).round(3).tolist()
    return {"median": median, "q1": low, "q3": high}


def ratio(upper: Times, lower: Times, seed: int = 0) -> dict[str, Any]:
    """Return the median over rounds of the ratio of two times, and its 95 % bootstrap interval over rounds.

    Within a round both were measured a moment apart, so that other load affects both alike.
    """
    quotients = upper / lower  # [rounds]
    drawn = np.random.default_rng(seed).integers(len(quotients), size=(RESAMPLES, len(quotients)))
    interval = np.percentile(np.median(quotients[drawn], axis=1), [2.5, 97.5]).round(4).tolist()
    return {"value": round(float(np.median(quotients)), 4), "interval": interval}


def label_maps(canvas: Sample, stages: Stages) -> dict[str, Float32]:
    """Return the `HeadMaps` of a perfect network for a labelled canvas, as arrays with a batch axis."""
    targets: Targets = encode(canvas, stages.taxonomy, stages.config)
    cells = targets.parts[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]  # [h, w]
    parts = np.arange(len(stages.taxonomy.part_names) + 1)[:, None, None] == cells  # [C+1, h, w]
    limbs = np.clip(targets.limbs.astype(np.float32), 1e-4, 1 - 1e-4)
    centers, ways = ideal_centers(targets)
    maps = {
        "part_logits": _sure(parts),
        "projection_field": targets.projection,
        "heatmap_logits": _sure(targets.heatmap),
        "offsets": targets.offsets,
        "limb_logits": np.log(limbs / (1 - limbs)),
        "center_logits": _sure(centers),
        "regression": ways,
    }
    return {name: np.ascontiguousarray(m[None], np.float32) for name, m in maps.items()}


def _sure(truth: NDArray[Any]) -> Float32:
    return SURE * (2 * truth.astype(np.float32) - 1)


def _tasks(stages: Stages, scene: Sample, size: Size) -> dict[str, Task]:
    """Return the timed functions for one scene; their inputs are prepared here, before the clock starts."""
    fitted, _ = letterbox(scene, size)
    canvas = stages.put(fitted.image[None])
    maps = stages.keep(stages.network(canvas))
    perfect = stages.from_labels(label_maps(fitted, stages))
    people = stages.put(crops(scene, CROP))  # [n, *CROP, 3]
    tasks: dict[str, Task] = {
        "whole": lambda: stages.whole(canvas),
        "network": lambda: stages.network(canvas),
        "decoder": lambda: stages.decoder(canvas, maps),
        "decoder_on_labels": lambda: stages.decoder(canvas, perfect),
        "top_down": lambda: [stages.network(people[i : i + 1]) for i in range(len(people))],
    }
    return {**tasks, "top_down_batch": lambda: stages.network(people)} if stages.batched else tasks


def _times(stages: Stages, tasks: dict[tuple[str, int], Task], rounds: int) -> dict[tuple[str, int], Times]:
    """Return milliseconds of each task, one per round that it is in; its first call is not timed."""
    rng = np.random.default_rng(0)
    times: dict[tuple[str, int], list[float]] = {key: [] for key in tasks}
    for task in tasks.values():
        task()
    for number in tqdm(range(rounds), desc="latency", unit="round"):
        names = [n for n in _series(tasks) if number % TOP_DOWN_EVERY == 0 or not n.startswith("top_down")]
        for name in rng.permutation(names):
            for count in rng.permutation([n for series, n in tasks if series == name]):
                stages.wait()
                start = time.perf_counter()
                tasks[name, count]()
                stages.wait()
                times[name, count].append(1e3 * (time.perf_counter() - start))
    return {key: np.array(values) for key, values in times.items()}


def _series(tasks: dict[tuple[str, int], Task]) -> list[str]:
    return list(dict.fromkeys(name for name, _ in tasks))
