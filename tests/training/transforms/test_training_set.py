"""The training set: samples of an epoch, their order, copy-paste and unreadable images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from model.config import DecoderConfig
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures, write_folder
from training.config.recipes import smoke
from training.config.train_config import TrainConfig
from training.data.datasets.folders import FolderDataset
from training.data.samples import DatasetError, Sample
from training.transforms.targets import Batch, Targets, collate, encode
from training.transforms.training_set import TrainingSet

T = DENSEPOSE_COCO


def encoded(sample: Sample) -> Targets:
    return encode(sample, T, DecoderConfig())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> FolderDataset:
    root = tmp_path_factory.mktemp("images")
    real = [replace(draw_figures(T, (96, 96), i % 3, seed=i), key=f"real{i}") for i in range(12)]
    rendered = [replace(draw_figures(T, (96, 96), 2, seed=i), key=f"syn{i}") for i in range(12)]
    write_folder(root / "real", real, T)
    write_folder(root / "synthetic", rendered, T, "synthetic")
    return FolderDataset([root / "real", root / "synthetic"], T)


def training_set(dataset: FolderDataset, config: TrainConfig, indices: range = range(24)) -> TrainingSet:
    return TrainingSet(dataset, indices, config)


def test_an_epoch_has_every_real_image_once_and_a_fraction_of_synthetic_ones(dataset: FolderDataset) -> None:
    data = training_set(dataset, replace(smoke(), synthetic_fraction=0.25))
    assert len(data) == 16
    first, second = data.order(0), data.order(1)
    for order in (first, second):
        assert len(order) == len(set(order)) == 16
        assert sorted(i for i in order if i < 12) == list(range(12))
    assert first != second
    assert {i for i in first if i >= 12} != {i for i in second if i >= 12}


@pytest.mark.parametrize(
    ("share", "indices", "count"), [(0.0, range(24), 12), (0.9, range(24), 24), (0.1, range(12, 24), 12)]
)
def test_the_synthetic_fraction_is_bounded_by_the_images(
    dataset: FolderDataset, share: float, indices: range, count: int
) -> None:
    data = training_set(dataset, replace(smoke(), synthetic_fraction=share), indices)
    assert len(data) == len(data.order(0)) == count


def test_a_synthetic_fraction_of_one_is_refused(dataset: FolderDataset) -> None:
    with pytest.raises(ValueError, match="synthetic_fraction=1"):
        training_set(dataset, replace(smoke(), synthetic_fraction=1))


@pytest.mark.parametrize(
    "change",
    [
        {"copy_paste_prob": 1.1},
        {"copy_paste_prob": -0.1},
        {"pseudo_label_fraction": 2},
        {"pseudo_label_fraction": -1},
        {"jpeg_prob": 2},
    ],
)
def test_a_fraction_out_of_range_is_refused(dataset: FolderDataset, change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(change))}=.*from 0 to 1"):
        training_set(dataset, replace(smoke(), **change))


def pseudo_labelled(dataset: FolderDataset, count: int) -> FolderDataset:
    """The same images; the joints of the first `count` are pseudo-labels."""
    copy = FolderDataset([], T)
    copy.records = [replace(record, ground_truth=i >= count) for i, record in enumerate(dataset.records)]
    return copy


@pytest.mark.parametrize(("share", "real", "rendered"), [(1.0, 12, 4), (0.5, 8, 3), (0.0, 4, 1)])
def test_a_fraction_of_pseudo_labelled_images_is_drawn_per_epoch(
    dataset: FolderDataset, share: float, real: int, rendered: int
) -> None:
    data = training_set(
        pseudo_labelled(dataset, 8), replace(smoke(), pseudo_label_fraction=share, synthetic_fraction=0.25)
    )
    orders = [data.order(epoch) for epoch in range(3)]
    for order in orders:
        assert len(data) == len(order) == len(set(order)) == real + rendered
        assert {8, 9, 10, 11} <= set(order)
        assert sum(i < 12 for i in order) == real
    drawn = {frozenset(i for i in order if i < 8) for order in orders}
    assert len(drawn) == (3 if share == 0.5 else 1)
    assert orders[1] == training_set(pseudo_labelled(dataset, 8), data.config).order(1)


def test_a_pseudo_label_fraction_of_one_keeps_the_order(dataset: FolderDataset) -> None:
    assert training_set(pseudo_labelled(dataset, 8), smoke()).order(2) == training_set(dataset, smoke()).order(2)


def test_a_training_set_without_images_is_refused(dataset: FolderDataset) -> None:
    with pytest.raises(ValueError, match=r"pseudo_label_fraction=0\.0 leaves no image"):
        training_set(pseudo_labelled(dataset, 12), replace(smoke(), pseudo_label_fraction=0.0), range(12))


class Watched(FolderDataset):
    """Remembers which images were read."""

    def __init__(self, dataset: FolderDataset) -> None:
        super().__init__([], dataset.taxonomy)
        self.records, self.read = dataset.records, list[int]()

    def load(self, index: int) -> Sample:
        self.read.append(index)
        return super().load(index)


def test_people_are_pasted_only_from_other_images_of_the_epoch(dataset: FolderDataset) -> None:
    """Every third image shows nobody, 9 to 11 are not to be trained on, 12 and those after it are rendered."""
    watched = Watched(pseudo_labelled(dataset, 3))
    data = TrainingSet(
        watched, [*range(9), *range(12, 24)], replace(smoke(), copy_paste_prob=1.0, pseudo_label_fraction=0.34)
    )
    read = set()
    for epoch in range(30):
        allowed = {i for i in data.order(epoch) if i < 9} - {0, 1, 3, 6}
        watched.read.clear()
        data.canvas((epoch, 1))
        assert watched.read[0] == 1
        assert set(watched.read[1:]) <= allowed
        read |= set(watched.read[1:])
    assert read == {2, 4, 5, 7, 8}


def test_copy_paste_changes_some_samples_and_leaves_others_identical(dataset: FolderDataset) -> None:
    plain, pasting = (training_set(dataset, replace(smoke(), copy_paste_prob=paste)) for paste in (0.0, 0.5))
    changed = 0
    for index in range(12):
        views = [data.canvas((0, index)) for data in (plain, pasting, pasting)]
        np.testing.assert_array_equal(views[1].image, views[2].image)
        np.testing.assert_array_equal(views[1].keypoints, views[2].keypoints)
        more = len(views[1].keypoints) - len(views[0].keypoints)
        if more <= 0:
            np.testing.assert_array_equal(views[0].image, views[1].image)
        changed += more > 0
    assert 0 < changed < 12


def test_ignore_regions_may_count_as_background(dataset: FolderDataset, tmp_path: Path) -> None:
    sample = draw_figures(T, (96, 96), 2, seed=1)
    known = sample.people == 1
    known[:40] = False
    sample.people[sample.people == 2] = 255
    sample.parts[~known & (sample.people > 0)] = 255  # of the first person's upper half the parts are unknown
    sample.has_mask[1] = False
    write_folder(tmp_path, [sample], T, "synthetic")
    masked = FolderDataset([tmp_path], T)
    still = replace(smoke(), input_size=(96, 96), hflip_prob=0, scale=(1, 1), rotation=0)
    unknown, nobody = (
        TrainingSet(masked, [0], replace(still, unlabeled_as=ignore)).canvas((0, 0))
        for ignore in ("unknown", "background")
    )
    np.testing.assert_array_equal(unknown.parts, sample.parts)
    np.testing.assert_array_equal(nobody.parts, np.where(known, sample.parts, 0))
    np.testing.assert_array_equal(nobody.people, known)
    np.testing.assert_array_equal(nobody.keypoints, unknown.keypoints)
    assert encoded(nobody).heatmap_weight.all()
    assert not encoded(unknown).heatmap_weight.all()


def test_samples_depend_on_seed_and_epoch_alone(dataset: FolderDataset) -> None:
    data = training_set(dataset, smoke())
    image, targets = data[3, 5]
    data[3, 1]
    again = data[3, 5]
    np.testing.assert_array_equal(image, again[0])
    np.testing.assert_array_equal(targets.joints, again[1].joints)
    assert (image != data[4, 5][0]).any()
    assert (image != training_set(dataset, replace(smoke(), seed=1))[3, 5][0]).any()


def test_batches_are_stacks_of_samples(dataset: FolderDataset) -> None:
    config = smoke()
    data = training_set(dataset, config)
    views = [(0, index) for index in data.order(0)]
    loader = DataLoader(data, batch_size=4, sampler=views, collate_fn=collate)
    batch = next(iter(loader))
    assert isinstance(batch, Batch)
    assert batch.image.shape == (4, *config.input_size, 3)
    assert batch.image.dtype == torch.uint8
    for row, view in enumerate(views[:4]):
        image, targets = data[view]
        assert torch.equal(batch.image[row], torch.tensor(image))
        for name, array in targets._asdict().items():
            assert torch.equal(getattr(batch, name)[row], torch.tensor(array))


@pytest.fixture
def broken(dataset: FolderDataset, tmp_path: Path) -> FolderDataset:
    """The same images; the file of the first is cut short."""
    path = tmp_path / "cut.png"
    path.write_bytes(dataset.records[0].image.read_bytes()[:100])
    copy = FolderDataset([], T)
    copy.records = [replace(dataset.records[0], image=path), *dataset.records[1:]]
    return copy


def test_an_unreadable_image_is_reported_once_and_has_no_targets(
    broken: FolderDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    data = training_set(broken, smoke())
    for epoch in range(2):
        image, targets = data[epoch, 0]
        assert image.shape == (128, 128, 3)
        assert (targets.parts == 255).all()
        for name in ("heatmap_weight", "projection_weight", "limb_weight", "person_count"):
            assert not getattr(targets, name).any(), name
    message = capsys.readouterr().err
    assert message.count("cut.png") == 1
    assert "unpack its archive again" in message


def test_an_unreadable_image_ends_a_strict_run_and_many_end_any(broken: FolderDataset) -> None:
    with pytest.raises(DatasetError, match=r"cut\.png"):
        TrainingSet(broken, range(24), smoke(), strict=True)[0, 0]
    broken.records = [replace(record, image=Path(f"missing{i}.png")) for i, record in enumerate(broken.records * 2)]
    data = training_set(broken, smoke(), range(48))
    for index in range(17):
        assert (data[0, index][1].parts == 255).all()
    with pytest.raises(DatasetError, match=r"missing17\.png"):
        data[0, 17]
