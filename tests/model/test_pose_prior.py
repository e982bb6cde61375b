"""The start that a pose-trained backbone gives the paper's maps, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.config import ModelConfig
from model.maps import HeadMaps
from model.network import Network
from model.pose_prior import PosePrior, disk_heatmaps, offsets_to_joints


@pytest.fixture(scope="module")
def prior() -> PosePrior:
    draw = torch.Generator().manual_seed(0)
    return PosePrior(
        center_logits=torch.randn(1, 1, 12, 16, generator=draw),
        heatmap_logits=3 * torch.randn(1, 2, 12, 16, generator=draw),
        regression=torch.zeros(1, 2, 2, 12, 16),
        subcell=torch.rand(1, 2, 2, 12, 16, generator=draw) - 0.5,
    )


def test_a_cell_is_as_warm_as_the_warmest_within_three_cells(prior: PosePrior) -> None:
    found, logits = disk_heatmaps(prior), prior.heatmap_logits
    for row, column in ((0, 0), (5, 7), (11, 15)):
        around = logits[0, 1, max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4]
        assert found[0, 1, row, column] == around.max()


def test_offsets_lead_to_the_mean_of_the_joints_around_weighted_by_heat_cubed(prior: PosePrior) -> None:
    found = offsets_to_joints(prior)[0].numpy()
    heat = torch.sigmoid(prior.heatmap_logits)[0].numpy() ** 3
    subcell = prior.subcell[0].numpy()
    for joint, row, column in ((0, 0, 0), (1, 6, 9), (0, 11, 15), (1, 2, 14)):
        rows, columns = range(max(row - 3, 0), min(row + 4, 12)), range(max(column - 3, 0), min(column + 4, 16))
        cells = [(r, c) for r in rows for c in columns]
        weights = [heat[joint, r, c] for r, c in cells]
        points = [np.array((c, r)) + subcell[joint, :, r, c] for r, c in cells]
        mean = np.average(points, axis=0, weights=weights)
        np.testing.assert_allclose(found[joint, :, row, column], mean - (column, row), atol=1e-5)


def test_where_nothing_is_warm_there_is_no_offset(prior: PosePrior) -> None:
    cold = prior._replace(heatmap_logits=torch.full_like(prior.heatmap_logits, -40.0))
    assert not offsets_to_joints(cold).any()


@torch.no_grad()
def test_an_untrained_network_predicts_what_its_backbone_does() -> None:
    network = Network(
        ModelConfig(backbone="movenet_multipose", hidden_dim=16, refinement_dim=8, pose_prior=True)
    ).eval()
    image = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    maps: HeadMaps = network(image)
    prior = network.backbone.forward_with_poses(network.normalized(image))[1]
    torch.testing.assert_close(maps.heatmap_logits, disk_heatmaps(prior))
    torch.testing.assert_close(maps.offsets, offsets_to_joints(prior))
    torch.testing.assert_close(maps.center_logits, prior.center_logits)
    torch.testing.assert_close(maps.regression, prior.regression)


def test_joints_that_the_backbone_does_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.pose_prior predicts COCO's joints, not mhp_v2's"):
        Network(ModelConfig(taxonomy="mhp_v2", backbone="movenet_multipose", hidden_dim=16, pose_prior=True))


def test_a_backbone_without_poses_has_no_prior() -> None:
    network = Network(ModelConfig(backbone="resnet18", hidden_dim=16, pose_prior=True))
    with pytest.raises(ValueError, match=r"ResNet predicts no poses: set model\.pose_prior=false"):
        network(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
