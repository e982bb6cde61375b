"""The network, its losses and their weights as one module, whose output a training step minimizes.

It is one module because DistributedDataParallel averages the gradients of what runs inside its forward.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.decoder.decode import Decoder
from model.network import Network
from training.losses.dense_losses import Criterion, Normalizers, dense_losses
from training.losses.matching_loss import matching_loss
from training.transforms.targets import Batch


class ModelWithLoss(nn.Module):
    """Network and criterion; the decoder, which has no weights, serves the matching loss."""

    def __init__(
        self, network: Network, decoder: Decoder, mixed: bool = False, loss_weights: dict[str, float] | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.decoder = decoder
        self.criterion = Criterion(loss_weights)
        self.mixed = mixed  # the network computes in bfloat16

    def forward(
        self, batch: Batch, counts: Normalizers, matching: bool, share: float = 1.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the losses of a part of a step's images.

        Args:
            batch: these images.
            counts: label counts of *all* images of the step, so that the results of its parts add up to the step's.
            matching: whether to add the matching loss.
            share: of the step's forward passes, over all processes; terms that do not depend on images count so much.

        Returns the scalar to differentiate and each task's loss, detached.
        """
        with torch.autocast(batch.image.device.type, torch.bfloat16, enabled=self.mixed):
            maps, fields = self.network.forward_with_levels(batch.image)
        losses = dense_losses(maps, fields, batch, counts, centers=self.decoder.config.center_weight > 0)
        if matching:
            losses["matching"] = matching_loss(maps, batch.joints, self.decoder).sum() / counts.images
        return self.criterion(losses, share), {name: loss.detach() for name, loss in losses.items()}
