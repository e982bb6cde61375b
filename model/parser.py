"""The whole method as one module: photos in, people out. Training differentiates it, export traces it."""

from __future__ import annotations

from torch import Tensor, nn

from model.config import DecoderConfig
from model.decoder.decode import Decoder, People
from model.network import Network
from model.taxonomy import get_taxonomy


class HumanParser(nn.Module):
    """Network, then decoder (the paper, sections 3.1-3.4)."""

    def __init__(self, network: Network, decoder: DecoderConfig) -> None:
        super().__init__()
        self.network = network
        self.decoder = Decoder(get_taxonomy(network.config.taxonomy), decoder)

    def forward(self, image: Tensor) -> People:
        """People of letterboxed uint8 RGB canvases [B, H, W, 3]; H and W are multiples of 32."""
        people: People = self.decoder(self.network(image))
        return people
