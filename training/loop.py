"""The training loop: batches to weights, with checkpoints, resume, a log and pictures."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from tqdm import tqdm

from model.backbones.build import freeze_batch_norm, load_pretrained
from model.checkpoint import CheckpointError, read_checkpoint, save_checkpoint
from model.decoder.decode import Decoder
from model.network import Network
from model.taxonomy import get_taxonomy
from training.config import TrainConfig
from training.losses import Criterion, dense_losses
from training.matching_loss import matching_loss
from training.preview import draw_preview
from training.targets import Batch, TrainingSet, collate

LOG_EVERY, PICTURE_EVERY, SAVE_SECONDS = 20, 500, 240
LAST = "last.ckpt"


def train(
    config: TrainConfig,
    data: TrainingSet,
    preview: Sequence[int],
    run: Path,
    pretrained: Path | None,
    start: Path | None,
) -> Path:
    """Train until `config.steps`; continues by itself from the run folder's last checkpoint.

    Args:
        config: the recipe.
        data: the training set; sample i of epoch e is the same in every run with the same seed.
        preview: indices of `data.photos` drawn every few hundred steps, never trained on.
        run: folder for checkpoint, log.csv and pictures.
        pretrained: public checkpoint of the backbone, used when the run starts anew.
        start: checkpoint whose weights the run starts from (the second step starts from the first's).

    Returns the path of the last checkpoint.
    """
    run.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(config.seed)
    network = Network(config.model)
    if pretrained is not None:
        load_pretrained(network.backbone, torch.load(pretrained, map_location="cpu", weights_only=True))
    if start is not None:
        network.load_state_dict(read_checkpoint(start)["weights"])
    if config.freeze_backbone:
        network.backbone.freeze_pretrained()
    freeze_batch_norm(network.backbone)
    network.to(device, memory_format=torch.channels_last)
    criterion = Criterion().to(device)
    optimizer = _optimizer(config, network, criterion)
    average = AveragedModel(network, multi_avg_fn=moving_average(config.ema_decay), use_buffers=True)
    step = _resume(run / LAST, config, network, criterion, optimizer, average)

    def save() -> None:
        save_checkpoint(
            run / LAST,
            average.module.state_dict(),
            config.model,
            config.decoder,
            step=step,
            network=network.state_dict(),
            criterion=criterion.state_dict(),
            optimizer=optimizer.state_dict(),
            averaged=int(average.n_averaged),
        )

    log = _Log(run / "log.csv", step)
    decoder = Decoder(get_taxonomy(config.model.taxonomy), config.decoder).to(device)
    saved, waited = time.monotonic(), 0.0
    batches = _batches(data, config, step)
    with tqdm(total=config.steps, initial=step, unit="step", desc=run.name, smoothing=0.05) as bar:
        while step < config.steps:
            before = time.monotonic()
            batch = Batch(*(t.to(device, non_blocking=True) for t in next(batches)))
            waited += time.monotonic() - before
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * rate(config, step)
            network.train()
            with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
                maps, fields = network.forward_with_levels(batch.image)
            losses = dense_losses(maps, fields, batch)
            if config.matching:
                losses["matching"] = matching_loss(maps, batch.joints, decoder)
            total = criterion(losses)
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
            optimizer.step()
            average.update_parameters(network)
            step += 1
            bar.update()
            log.add(losses, total, norm)
            if step % LOG_EVERY == 0 or step == config.steps:
                row = log.write(step, optimizer.param_groups[0]["lr"], waited, criterion.weights())
                bar.set_postfix_str(" ".join(f"{k} {row[k]:.3f}" for k in losses))
                waited = 0.0
            if time.monotonic() - saved > SAVE_SECONDS or step == config.steps:
                save()
                saved = time.monotonic()
            if (step % PICTURE_EVERY == 0 or step == config.steps) and preview:
                picture = draw_preview(average.module, data, preview, config)
                picture.save(run / f"preview-{step:06d}.jpg", quality=88)
    return run / LAST


def rate(config: TrainConfig, step: int) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then the recipe's schedule."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    if config.schedule == "drop":
        return 0.1 if step >= config.drop_at * config.steps else 1.0
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


def moving_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor | int], None]:
    """An exponential moving average that forgets its start: over n steps it reaches back at most about n / 10.

    With a fixed decay of 0.998 the untrained weights would still make up a tenth of the average after 1,000 steps.
    """

    def update(average: list[Tensor], weights: list[Tensor], steps: Tensor | int) -> None:
        kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
        for mean, now in zip(average, weights, strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - kept)
            else:
                mean.copy_(now)  # counters

    return update


def _optimizer(config: TrainConfig, network: Network, criterion: Criterion) -> torch.optim.Optimizer:
    """Two rates, for pretrained and new layers; no weight decay for biases, norms and the tasks' log-variances."""
    pretrained = {id(p) for p in network.backbone.pretrained_parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in [*network.parameters(), *criterion.parameters()]:
        if parameter.requires_grad:
            share = config.backbone_rate if id(parameter) in pretrained else 1.0
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((share, decay), []).append(parameter)
    listed = [
        {"params": p, "weight_decay": decay, "peak": config.learning_rate * share}
        for (share, decay), p in groups.items()
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(listed, lr=config.learning_rate, momentum=0.9)
    return torch.optim.AdamW(listed, lr=config.learning_rate)


def _resume(
    path: Path,
    config: TrainConfig,
    network: Network,
    criterion: Criterion,
    optimizer: torch.optim.Optimizer,
    average: AveragedModel,
) -> int:
    if not path.exists():
        return 0
    value = read_checkpoint(path)
    try:
        network.load_state_dict(value["network"])
        average.module.load_state_dict(value["weights"])
        criterion.load_state_dict(value["criterion"])
        optimizer.load_state_dict(value["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is of another recipe ({error}); choose another --run folder") from error
    average.n_averaged.fill_(value["averaged"])
    return int(value["step"])


def _batches(data: TrainingSet, config: TrainConfig, step: int) -> Iterator[Batch]:
    """Endless batches from a step on: the same ones whether or not the run was interrupted before it."""
    epoch_steps = max(1, len(data) // config.batch)
    while True:
        epoch, skip = divmod(step, epoch_steps)
        order = data.order(epoch)[skip * config.batch : epoch_steps * config.batch]
        loader = DataLoader(
            data.epoch(epoch),
            batch_size=config.batch,
            sampler=order,
            num_workers=config.workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            prefetch_factor=4 if config.workers else None,
        )
        for batch in loader:
            yield batch
            step += 1


class _Log:
    """Means since the last line, appended to a CSV that a resumed run continues."""

    def __init__(self, path: Path, step: int) -> None:
        self.path, self.started = path, time.monotonic()
        self.sums: dict[str, float] = {}
        self.count = 0
        if step == 0:
            path.unlink(missing_ok=True)

    def add(self, losses: dict[str, Tensor], total: Tensor, norm: Tensor) -> None:
        self.count += 1
        for name, value in {**losses, "total": total, "gradient_norm": norm}.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value.detach())

    def write(self, step: int, lr: float, waited: float, weights: dict[str, float]) -> dict[str, float]:
        seconds = time.monotonic() - self.started
        row = {name: value / self.count for name, value in self.sums.items()}
        extra = {f"weight_{k}": v for k, v in weights.items()}
        line = {"step": step, "lr": lr, "seconds": seconds, "data_share": waited / seconds, **row, **extra}
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(line))
            if new:
                writer.writeheader()
            writer.writerow(line)
        self.sums, self.count, self.started = {}, 0, time.monotonic()
        return row
