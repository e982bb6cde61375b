"""The training loop: batches to weights, in one process or several, with checkpoints, resume, a log and pictures."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from model.checkpoint import CheckpointError, read_checkpoint, save_checkpoint
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
from training.engine.sampler import load_batches
from training.engine.schedule import Schedule
from training.engine.train_step import TrainStep
from training.engine.unit_rms import load_plain_state, plain_state
from training.engine.validation import Figures, validate
from training.transforms.training_set import TrainingSet

LOG_EVERY = 20
LAST = "last.ckpt"
CANVASES = 16  # from which BatchNorms take their first statistics, where a bundle has none
FREE = (
    "num_workers",
    "gradient_accumulation_steps",
    "num_val_images",
    "checkpoint_interval_s",
    "tensorboard",
)  # may differ when a run is resumed: the weights do not depend on them


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
    """Train through all stages; continues by itself from the run folder's last checkpoint.

    Under `torchrun` every process calls this; together they do what one would do.

    Args:
        config: the recipe.
        data: the training set; sample i of epoch e is the same in every run with the same seed.
        validation: indices of `data.dataset`, never trained on, that are looked at after each epoch.
        run: folder for checkpoint, log.csv, epochs.csv and pictures.
        pretrained: public checkpoint of the backbone, used when the run starts anew.
        start: checkpoint or bundle whose weights the run starts from.
        steps: instead of the stages' own total.
        licenses: those that the images of `data` were restricted to, where they were; a resumed run keeps to them.

    Returns the path of the last checkpoint.

    Raises:
        InputError: the configuration contradicts itself or `start`, or a loss is no longer a number.
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
    """`train` in one process. Whatever holds the processes' connection ends with this frame, before it is closed."""
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
    state: dict[str, Any] = {"network": network, "criterion": objective.criterion, "optimizer": optimizer}
    identity = {**_identity(config, schedule), "licenses": list(licenses) or None}  # None: as in older checkpoints
    data_licenses = count_learned(data, run / LAST, start)
    step = _resume(run / LAST, identity, state, average, health)
    if processes.is_main and step == 0:
        warn_of_start(start, licenses)

    def save() -> None:
        values = {name: part.state_dict() for name, part in state.items()}
        averaged, weights = int(average.n_averaged), plain_state(average.module)
        save_checkpoint(
            run / LAST, weights, config.model, config.decoder,
            step=step, identity=identity, averaged=averaged, health=health and health.state(),
            licenses=list(licenses), data_licenses=data_licenses, **values,
        )  # fmt: skip

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
            means = recent.read()
            if log is not None:
                bar.set_postfix_str(log.step(where, means, objective.criterion.weights()))
        if step % schedule.epoch_steps == 0 or last:
            means = epoch_means.read()
            if health is not None:
                means[ALIVE] = health.check(network)
            if log is not None:
                figures: Figures = {}
                if validation and config.num_val_images:
                    figures, picture = validate(cast(Network, average.module), config, data.dataset, validation)
                    picture.save(run / f"preview-{step:06d}.jpg", quality=88)
                log.epoch(where, means, figures)
        if processes.is_main and (last or time.monotonic() - saved > config.checkpoint_interval_s):
            save()
            saved = time.monotonic()
    bar.close()
    return run / LAST


def _first_canvases(data: TrainingSet) -> Tensor:
    """A few of the canvases that are trained on, uint8 [B, H, W, 3]."""
    return torch.stack([torch.tensor(data[0, index][0]) for index in data.order(0)[:CANVASES]])


def _identity(config: TrainConfig, schedule: Schedule) -> dict[str, Any]:
    """Return all settings that a run's weights depend on, in plain types."""
    values = {name: value for name, value in dataclasses.asdict(config).items() if name not in FREE}
    return {**values, "lengths": list(schedule.lengths)}


def _resume(
    path: Path, identity: dict[str, Any], state: dict[str, Any], average: AveragedModel, health: ChannelHealth | None
) -> int:
    """Load the last checkpoint into the rest; returns the step it was written at, 0 without one."""
    if not path.exists():
        return 0
    value = read_checkpoint(path)
    other = sorted(name for name, own in identity.items() if value.get("identity", {}).get(name) != own)
    if other:
        raise CheckpointError(f"{path} was trained with another {', '.join(other)}; choose another --out folder")
    for name, part in state.items():
        part.load_state_dict(value[name])
    load_plain_state(average.module, value["weights"])
    if health is not None and value["health"] is not None:
        health.load_state(value["health"])
    average.n_averaged.fill_(value["averaged"])
    return int(value["step"])
