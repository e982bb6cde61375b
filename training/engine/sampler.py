"""Batch sampler and data loader."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import DataLoader

from model.errors import InputError
from training.config.train_config import TrainConfig
from training.engine.distributed import DistEnv
from training.engine.schedule import Schedule
from training.transforms.targets import Batch, collate
from training.transforms.training_set import SampleSpec, TrainingSet

AHEAD = 4  # batches that each loading process prefetches


def load_batches(
    data: TrainingSet, config: TrainConfig, schedule: Schedule, step: int, processes: DistEnv
) -> Iterator[Batch]:
    """Yield batches of one process without end from a step on, `config.gradient_accumulation_steps` per step.

    A step's images do not depend on interruptions before it, nor on the number of processes.
    Raises InputError for a batch that cannot be divided evenly.
    """
    if config.batch_size % (processes.world_size * config.gradient_accumulation_steps):
        raise InputError(
            f"a batch of {config.batch_size} cannot be divided by {processes.world_size} processes times "
            f"{config.gradient_accumulation_steps} passes; choose a multiple"
        )
    loader = DataLoader(
        data,
        batch_sampler=_batch_sampler(data, config, schedule, step, processes),
        num_workers=config.num_workers,
        collate_fn=collate,
        pin_memory=processes.device.type == "cuda",
        prefetch_factor=AHEAD if config.num_workers else None,
    )
    yield from loader


def _batch_sampler(
    data: TrainingSet, config: TrainConfig, schedule: Schedule, step: int, processes: DistEnv
) -> Iterator[list[SampleSpec]]:
    size = config.batch_size // (processes.world_size * config.gradient_accumulation_steps)
    order: list[int] = []
    shown = -1
    while True:
        epoch, within = divmod(step, schedule.epoch_steps)
        if epoch != shown:
            order, shown = data.order(epoch), epoch
            order *= -(-config.batch_size // len(order))  # fewer images than a batch are shown several times
        stage, _ = schedule.at(min(step, schedule.steps - 1))  # the loader looks beyond the last step
        images = order[within * config.batch_size : (within + 1) * config.batch_size][
            processes.rank :: processes.world_size
        ]
        for part in range(config.gradient_accumulation_steps):
            yield [SampleSpec(epoch, image, stage.input_size) for image in images[part * size : (part + 1) * size]]
        step += 1
