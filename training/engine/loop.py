"""The training loop: batches to weights, in one process or several, with checkpoints, resume, a log and pictures."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from model.backbones.build import freeze_batch_norm, load_pretrained
from model.checkpoint import CheckpointError, read_checkpoint, save_checkpoint
from model.decoder.decode import Decoder
from model.errors import InputError
from model.network import Network
from model.taxonomy import get_taxonomy
from training.config.train_config import Stage, TrainConfig
from training.engine.channel_health import ChannelHealth
from training.engine.depthwise import replace_depthwise_convs
from training.engine.distributed import DistEnv, convert_sync_batchnorm, init_distributed
from training.engine.initial_weights import load_initial_weights, scale_features, unfold_batch_norm
from training.engine.license_record import count_learned, warn_of_start
from training.engine.log import ALIVE, AverageMeter, TrainLogger
from training.engine.malloc import disable_malloc_trim
from training.engine.sampler import load_batches
from training.engine.schedule import Schedule
from training.engine.tfjs import read_tfjs
from training.engine.unit_rms import is_normalized, load_plain_state, normalize, plain_state
from training.engine.validation import Figures, validate
from training.losses.dense_losses import Normalizers, count_labels
from training.losses.model_with_loss import ModelWithLoss
from training.transforms.targets import Batch, TrainingSet

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
        validation: indices of `data.photos`, never trained on, that are looked at after each epoch.
        run: folder for checkpoint, log.csv, epochs.csv and pictures.
        pretrained: public checkpoint of the backbone, used when the run starts anew.
        start: checkpoint or bundle whose weights the run starts from.
        steps: instead of the stages' own total.
        licenses: those that the photos of `data` were restricted to, where they were; a resumed run keeps to them.

    Returns the path of the last checkpoint.

    Raises:
        InputError: the configuration contradicts itself or `start`, or a loss is no longer a number.
        DeadBackboneError: pretrained features no longer vary.
        CheckpointError: the run folder holds a run with another configuration, or `start` is no checkpoint.
        BundleError: `start` is a folder and no bundle.
        DatasetError: most photos cannot be read.
    """
    with init_distributed() as processes:
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
                        figures, picture = validate(cast(Network, average.module), config, data.photos, validation)
                        picture.save(run / f"preview-{step:06d}.jpg", quality=88)
                    log.epoch(where, means, figures)
            if processes.is_main and (last or time.monotonic() - saved > config.checkpoint_interval_s):
                save()
                saved = time.monotonic()
        bar.close()
    return run / LAST


class TrainStep:
    """One step of the optimiser, whatever number of passes and processes its photos are spread over."""

    def __init__(
        self, config: TrainConfig, objective: ModelWithLoss, optimizer: torch.optim.Optimizer, processes: DistEnv
    ) -> None:
        self.config, self.optimizer, self.processes = config, optimizer, processes
        self.network = objective.network
        self.levels = 1 if config.model.projection == "direct" else 4
        self.objective: ModelWithLoss | DistributedDataParallel = objective
        if processes.world_size > 1:
            devices = [processes.device] if processes.device.type == "cuda" else None
            self.objective = DistributedDataParallel(objective, device_ids=devices)

    def __call__(self, parts: Sequence[Batch], rate: float, stage: Stage) -> dict[str, Tensor]:
        """Learn from the batches of this process; returns each loss's share that they make up, and more for the log.

        Raises InputError where a loss is no longer a number.
        """
        device, processes = self.processes.device, self.processes
        backbone_lr_mult = self.config.backbone_lr_mult if stage.backbone_lr_mult is None else stage.backbone_lr_mult
        parts = [Batch(*(tensor.to(device, non_blocking=True) for tensor in part)) for part in parts]
        counted = [count_labels(part, self.levels) for part in parts]
        counts = Normalizers(
            *(processes.all_reduce(torch.stack(column).sum(0)) for column in zip(*counted, strict=True))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate * (backbone_lr_mult if group["pretrained"] else 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        share = 1 / (processes.world_size * len(parts))
        values: dict[str, Tensor] = {}
        for i, part in enumerate(parts):
            with self._exchange(last=i == len(parts) - 1):
                total, losses = self.objective(part, counts, stage.matching, share)
                if not total.isfinite():
                    raise InputError(
                        f"the loss is {float(total.detach())}: continue from the last checkpoint, "
                        "with a lower learning rate or precision=float32"
                    )
                (
                    total * processes.world_size
                ).backward()  # the gradients of processes are averaged, these are to be added
            for name, value in {**losses, "loss": total.detach()}.items():
                values[name] = values.get(name, 0.0) + value
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.max_grad_norm)
        self.optimizer.step()
        return {**values, "grad_norm": norm / processes.world_size}

    def _exchange(self, last: bool) -> AbstractContextManager[None]:
        """Processes exchange gradients once a step, in the last of its passes."""
        if isinstance(self.objective, DistributedDataParallel) and not last:
            return self.objective.no_sync()
        return nullcontext()


Tensors = tuple[Tensor, ...] | list[Tensor]


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An exponential moving average that forgets its start: over n steps it reaches back at most about n / 10.

    With a fixed decay of 0.998 the untrained weights would still make up a tenth of the average after 1,000 steps.
    """

    def update(average: Tensors, weights: Tensors, steps: Tensor | int) -> None:
        kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
        for mean, now in zip(average, weights, strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - kept)
            else:
                mean.copy_(now)  # counters

    return update


def make_model_with_loss(config: TrainConfig, network: Network) -> ModelWithLoss:
    """Build the network with its losses."""
    decoder = Decoder(get_taxonomy(config.model.taxonomy), config.decoder)
    weights = {
        "offset": config.offset_loss_weight,
        **dict.fromkeys(("center", "regression"), config.center_loss_weight),
    }
    return ModelWithLoss(network, decoder, config.precision == "bfloat16", weights)


def make_optimizer(config: TrainConfig, objective: ModelWithLoss) -> torch.optim.Optimizer:
    """Two rates, for pretrained and new layers; no weight decay for biases, norms and the tasks' log-variances.

    None either for pretrained tensors that `unit_rms` normalizes: it would pull them away from their size. Groups say
    whether they are "pretrained".
    """
    pretrained = {id(p) for p in objective.network.backbone.pretrained_parameters()}
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            decay = config.weight_decay if parameter.ndim > 1 and not is_normalized(name) else 0.0
            groups.setdefault((id(parameter) in pretrained, decay), []).append(parameter)
    listed = [{"params": p, "weight_decay": decay, "pretrained": known} for (known, decay), p in groups.items()]
    if config.optimizer == "sgd":
        return torch.optim.SGD(listed, lr=1.0, momentum=0.9)
    return torch.optim.AdamW(listed, lr=1.0)


def make_network(config: TrainConfig, pretrained: Path | None = None, start: Path | None = None) -> Network:
    """The network as a run begins: from its backbone's public weights and an earlier run's, frozen as configured."""
    network = Network(config.model)
    if pretrained is not None:
        graph = pretrained.suffix == ".json"
        state = read_tfjs(pretrained) if graph else torch.load(pretrained, map_location="cpu", weights_only=True)
        load_pretrained(network.backbone, state)
    if start is not None and (said := load_initial_weights(network, start)):
        tqdm.write(said, file=sys.stderr)
    prepare(network, config)
    return network


def prepare(network: Network, config: TrainConfig) -> None:
    """Freeze what `config` keeps, and make the rest fit to learn; what the network computes stays the same."""
    network.backbone.freeze_stages(config.frozen_stages)
    if config.freeze_backbone:
        network.backbone.freeze_pretrained()
    freeze_batch_norm(network.backbone)
    replace_depthwise_convs(network)
    if config.optimizer == "adamw" and config.normalize_pretrained:
        normalize(network.backbone)


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
