"""The training loop: one process or several, with checkpoints, resume, a log and previews."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from model.network import Network
from training.config.train_config import TrainConfig
from training.engine.channel_health import ChannelHealth
from training.engine.distributed import DistEnv, convert_sync_batchnorm, init_distributed
from training.engine.initial_weights import scale_features, unfold_batch_norm
from training.engine.license_record import count_learned, warn_of_start
from training.engine.log import ALIVE, AverageMeter, TrainLogger
from training.engine.malloc import disable_malloc_trim
from training.engine.network import make_model_with_loss, make_network
from training.engine.optimizer import make_optimizer, moving_average
from training.engine.run_checkpoint import LAST, RunCheckpoint, run_identity
from training.engine.sampler import load_batches
from training.engine.schedule import Schedule
from training.engine.train_step import TrainStep
from training.engine.validation import Metrics, validate
from training.transforms.training_set import TrainingSet

LOG_EVERY = 20
CANVASES = 16  # for the first statistics: BatchNorm of a bundle, features, living channels


def train(
    config: TrainConfig,
    data: TrainingSet,
    validation: Sequence[int],
    run: Path,
    pretrained: Path | None = None,
    start: Path | None = None,
    steps: int | None = None,
    licenses: Sequence[str] = (),
) -> Path:
    """Train through all stages; resumes from the last checkpoint in the run folder.

    Under `torchrun` every process calls this; together they compute what one would.

    Args:
        config: the recipe.
        data: the training set; sample i of epoch e is the same in every run with the same seed.
        validation: indices of `data.dataset` that are evaluated after each epoch and never trained on.
        run: folder for checkpoint, log.csv, epochs.csv and previews.
        pretrained: public checkpoint of the backbone, used if the run does not resume.
        start: checkpoint or bundle with the initial weights.
        steps: overrides the stages' own total.
        licenses: those that the images of `data` were restricted to, if any; a resumed run must have the same.

    Returns the path of the last checkpoint.

    Raises:
        InputError: the configuration contradicts itself or `start`, or a loss is not finite.
        DeadBackboneError: pretrained features no longer vary.
        CheckpointError: the run folder holds a run with another configuration, or `start` is no checkpoint.
        BundleError: `start` is a folder and no bundle.
        DatasetError: most images cannot be read.
    """
    with init_distributed() as processes:
        return _train(config, data, validation, run, pretrained, start, steps, licenses, processes)


def _train(
    config: TrainConfig,
    data: TrainingSet,
    validation: Sequence[int],
    run: Path,
    pretrained: Path | None,
    start: Path | None,
    steps: int | None,
    licenses: Sequence[str],
    processes: DistEnv,
) -> Path:
    """Run `train` in one process. All references to the process group end with this frame, before it is destroyed."""
    run.mkdir(parents=True, exist_ok=True)
    disable_malloc_trim()
    torch.manual_seed(config.seed)
    network = make_network(config, pretrained, start)
    canvases = _first_canvases(data)
    if start is not None and start.is_dir() and not (run / LAST).exists():
        unfold_batch_norm(network, canvases)
    if start is None:
        scale_features(network, canvases)
    # A backbone that starts from random weights knows nothing that training could kill.
    learned = pretrained is not None or start is not None
    health = ChannelHealth(network, canvases) if learned else None
    if processes.world_size > 1:
        convert_sync_batchnorm(network)
    network = network.to(processes.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(network, multi_avg_fn=moving_average(config.ema_decay), use_buffers=True)
    objective = make_model_with_loss(config, network).to(processes.device)
    optimizer = make_optimizer(config, objective)
    schedule = Schedule(config.stages, data.epoch_steps, steps)
    checkpoint = RunCheckpoint(
        run / LAST,
        config,
        run_identity(config, schedule, licenses),
        parts={"network": network, "criterion": objective.criterion, "optimizer": optimizer},
        average=average,
        health=health,
        record={"licenses": list(licenses), "data_licenses": count_learned(data, run / LAST, start)},
    )
    step = checkpoint.resume()
    if processes.is_main and step == 0:
        warn_of_start(start, licenses)
    log = TrainLogger(run, step, config.tensorboard) if processes.is_main else None
    recent, epoch_means = AverageMeter(processes), AverageMeter(processes)
    take_step = TrainStep(config, objective, optimizer, processes)
    batches = load_batches(data, config, schedule, step, processes)
    saved = time.monotonic()
    bar = tqdm(total=schedule.steps, initial=step, unit="step", desc=run.name, disable=not processes.is_main)
    network.train()
    while step < schedule.steps:
        before = time.monotonic()
        parts = [next(batches) for _ in range(config.gradient_accumulation_steps)]
        waited = time.monotonic() - before
        stage, rate = schedule.at(step)
        values = take_step(parts, rate, stage)
        average.update_parameters(network)
        step += 1
        bar.update()
        recent.add(values, waited)
        epoch_means.add(values, waited)
        last = step == schedule.steps
        where = {"step": step, "epoch": step / schedule.epoch_steps, "lr": rate}
        if step % LOG_EVERY == 0 or last:
            take_step.check()
            means = recent.read()
            if log is not None:
                bar.set_postfix_str(log.step(where, means, objective.criterion.weights()))
        if step % schedule.epoch_steps == 0 or last:
            means = epoch_means.read()
            if health is not None:
                means[ALIVE] = health.check(network)
            if log is not None:
                metrics: Metrics = {}
                if validation and config.num_val_images:
                    metrics, grid = validate(cast(Network, average.module), config, data.dataset, validation)
                    grid.save(run / f"preview-{step:06d}.jpg", quality=88)
                log.epoch(where, means, metrics)
        if processes.is_main and (last or time.monotonic() - saved > config.checkpoint_interval_s):
            take_step.check()
            checkpoint.save(step)
            saved = time.monotonic()
    bar.close()
    return checkpoint.path


def _first_canvases(data: TrainingSet) -> Tensor:
    """Return the first canvases of the first epoch, uint8 [B, H, W, 3]."""
    return torch.stack([torch.tensor(data[0, index][0]) for index in data.order(0)[:CANVASES]])
