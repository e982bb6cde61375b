"""The whole method as one module: images in, people out. Training differentiates it, export traces it."""

from __future__ import annotations

from torch import Tensor, nn

from model.config import DecoderConfig
from model.decoder.decode import Decoder, People
from model.flip_tta import merge_flipped, stack_flipped
from model.maps import HeadMaps
from model.network import Network
from model.taxonomy import get_taxonomy


class HumanParser(nn.Module):
    """Network, then decoder (the paper, sections 3.1-3.4)."""

    def __init__(self, network: Network, decoder: DecoderConfig) -> None:
        super().__init__()
        self.network = network
        self.decoder = Decoder(get_taxonomy(network.config.taxonomy), decoder)

    def forward(self, image: Tensor) -> People:
        """People of one letterboxed RGB canvas, uint8 [V, H, W, 3]; H and W are multiples of 32.

        V is 1, or 2 for the same pixels twice, of which the second are seen in a mirror.

        Differs from the paper, which sees every image once.
        """
        return self.decode(self.network(stack_flipped(image)))

    def decode(self, maps: HeadMaps) -> People:
        """The second half of `forward`: from the network's maps of the views [V, ..., h, w] to people."""
        people: People = self.decoder(merge_flipped(maps, self.decoder.taxonomy))
        return people
