"""Training throughput on this machine: the step alone, the loader alone, and both together.

A loader is fast enough if it hardly slows training: the goal is a `data_time_fraction` below 5 %.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from model.errors import InputError
from training.config.train_config import TrainConfig
from training.engine.distributed import init_distributed
from training.engine.malloc import disable_malloc_trim
from training.engine.network import make_model_with_loss, make_network
from training.engine.optimizer import make_optimizer, moving_average
from training.engine.sampler import AHEAD, load_batches
from training.engine.schedule import Schedule
from training.engine.train_step import TrainStep
from training.studies.latency.machine import machine, synchronize
from training.transforms.targets import Batch
from training.transforms.training_set import TrainingSet

WARM_UP = 3  # steps during which libraries select their kernels


def measure_speed(config: TrainConfig, data: TrainingSet, steps: int) -> dict[str, Any]:
    """Measure the throughput of this process in images per second, ready for JSON.

    Args:
        config: the recipe.
        data: the training set.
        steps: optimizer steps per measurement.

    Returns, beside settings and machine, `images_per_second` of
        step: training on images that are already on the device;
        step_matching: the same with the matching loss, if a stage of the recipe has it;
        loader: reading, augmenting and encoding images, without training;
        together: as in a run, without the matching loss.
    `data_time_fraction` is the share of a step together that the step alone does not need. `waited_share` is the share
    in which the program waits for images: an accelerator loses less, because it goes on computing.

    Raises InputError for less than one step, and as `load_batches` does.
    """
    if steps < 1:
        raise InputError(f"{steps} steps: measure at least one")
    with init_distributed() as processes:
        device = processes.device
        disable_malloc_trim()
        network = make_network(config)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        average = AveragedModel(network, multi_avg_fn=moving_average(config.ema_decay), use_buffers=True)
        objective = make_model_with_loss(config, network).to(device)
        take_step = TrainStep(config, objective, make_optimizer(config, objective), processes)
        schedule = Schedule(config.stages, data.epoch_steps)
        rate = schedule.at(0)[1]
        batches = load_batches(data, config, schedule, 0, processes)
        network.train()

        def load() -> list[Batch]:
            return [next(batches) for _ in range(config.gradient_accumulation_steps)]

        def learn(parts: list[Batch], matching: bool = False) -> None:
            take_step(parts, rate, replace(schedule.stages[0], matching=matching))
            average.update_parameters(network)

        waits = []

        def train() -> None:
            start = time.perf_counter()
            parts = load()
            waits.append(time.perf_counter() - start)
            learn(parts)

        def seconds(name: str, work: Callable[[], object]) -> float:
            """Return seconds per step, averaged over all steps."""
            synchronize(device)
            start = time.perf_counter()
            for _ in tqdm(range(steps), desc=name, unit="step", disable=not processes.is_main):
                work()
            synchronize(device)
            return (time.perf_counter() - start) / steps

        matching = any(stage.matching for stage in config.stages)
        fixed = [Batch(*(tensor.to(device) for tensor in part)) for part in load()]
        for _ in range(WARM_UP):
            learn(fixed, matching)
        # Loading processes prefetch: ready batches must be used up first, or they would seem faster than they are.
        for _ in range(AHEAD * config.num_workers):
            next(batches)
        times = {"loader": seconds("loader", load), "together": seconds("together", train)}
        times["step"] = seconds("step", lambda: learn(fixed))
        if matching:
            times["step_matching"] = seconds("step with matching", lambda: learn(fixed, True))

        images = config.batch_size / processes.world_size
        return {
            "machine": machine(device, torch.get_num_threads()),
            "processes": processes.world_size,
            "backbone": config.model.backbone,
            "precision": config.precision,
            "input_size": config.input_size,
            "batch_size": config.batch_size,
            "gradient_accumulation_steps": config.gradient_accumulation_steps,
            "num_workers": config.num_workers,
            "steps": steps,
            "images_per_second": {name: round(images / value, 2) for name, value in times.items()},
            "data_time_fraction": round(max(0.0, 1 - times["step"] / times["together"]), 4),
            "waited_share": round(sum(waits) / steps / times["together"], 4),
            "peak_memory_mib": round(_peak_memory(device) / 2**20),
        }


def _peak_memory(device: torch.device) -> int:
    """Return bytes: the peak of tensors on an accelerator, else the peak main memory of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
