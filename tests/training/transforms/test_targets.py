"""What the network is taught, what is left out, and which samples an epoch holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from model.config import DecoderConfig
from model.taxonomy import DENSEPOSE_COCO, TAXONOMIES, Taxonomy
from tests.figures import draw_figures, write_folder
from training.config.recipes import smoke
from training.config.train_config import TrainConfig
from training.data.datasets.folders import FolderDataset
from training.data.samples import DatasetError, Sample
from training.transforms.targets import Batch, Targets, TrainingSet, collate, encode

T = DENSEPOSE_COCO
NOSE, LEFT_KNEE, LEFT_ANKLE = 0, 13, 15
SHIN = T.limbs.index((LEFT_KNEE, LEFT_ANKLE))


def encoded(sample: Sample) -> Targets:
    return encode(sample, T, DecoderConfig())


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=list(TAXONOMIES))
def test_shapes_and_types(taxonomy: Taxonomy) -> None:
    targets = encode(draw_figures(taxonomy, size=(128, 192)), taxonomy, DecoderConfig())
    k, limbs = len(taxonomy.joint_names), len(taxonomy.limbs)
    shapes = {name: (array.shape, array.dtype.name) for name, array in targets._asdict().items()}
    assert shapes == {
        "parts": ((128, 192), "uint8"),
        "heatmap": ((k, 32, 48), "uint8"),
        "heatmap_weight": ((k, 32, 48), "uint8"),
        "offsets": ((k, 2, 32, 48), "float16"),
        "projection": ((2, 32, 48), "float16"),
        "projection_weight": ((32, 48), "uint8"),
        "limbs": ((limbs, 32, 48), "float16"),
        "limb_weight": ((limbs, 32, 48), "uint8"),
        "joints": ((32, k, 3), "float32"),
        "boxes": ((32, 4), "float32"),
        "person_count": ((), "int64"),
    }


def test_offsets_and_projection_lead_to_joints_in_canvas_pixels() -> None:
    """A cell's center is canvas 4 x + 1.5; adding four times the vector gives a joint of the sample."""
    sample = draw_figures(T, seed=1)
    targets = encoded(sample)
    k, y, x = np.nonzero(targets.heatmap)
    vectors = targets.offsets[k, :, y, x].astype(float)
    points = 4 * np.stack([x, y], axis=1) + 1.5 + 4 * vectors  # [cells, 2]
    assert (np.hypot(*vectors.T) <= 8.01).all()
    joints = sample.keypoints[:, k, :2]  # [n, cells, 2]
    assert np.abs(joints - points).sum(axis=2).min(axis=0).max() < 0.05
    y, x = np.nonzero(targets.projection_weight)
    points = 4 * np.stack([x, y], axis=1) + 1.5 + 4 * targets.projection[:, y, x].T.astype(float)
    own = sample.keypoints[sample.people[4 * y + 2, 4 * x + 2] - 1]  # [cells, K, 3]
    assert np.abs(own[:, :, :2] - points[:, None]).sum(axis=2).min(axis=1).max() < 0.3


def test_occluded_joints_count_and_a_complete_sample_has_no_unknown_cell() -> None:
    sample = draw_figures(T, size=(256, 384), seed=2)
    assert (sample.keypoints[..., 2] > 0).all()
    sample.keypoints[0, NOSE, 2] = 1
    targets = encoded(sample)
    x, y = np.rint((sample.keypoints[0, NOSE, :2] - 1.5) / 4).astype(int)
    assert targets.heatmap[NOSE, y, x] == 1
    assert targets.heatmap_weight.all()
    assert targets.limb_weight.all()


def test_an_unlabelled_joint_is_unknown_around_its_person_and_nowhere_else() -> None:
    sample = draw_figures(T, size=(256, 512), people=2, seed=0, height=0.4)
    x, y = np.rint((sample.keypoints[0, LEFT_KNEE, :2] - 1.5) / 4).astype(int)
    other_x, other_y = np.rint((sample.keypoints[1, LEFT_KNEE, :2] - 1.5) / 4).astype(int)
    sample.keypoints[0, LEFT_KNEE] = 0
    sample.joints_labelled[0, LEFT_KNEE] = False
    targets = encoded(sample)
    disk = np.hypot(*(np.mgrid[:64, :128] - np.array([y, x])[:, None, None])) <= 8
    assert not targets.heatmap_weight[LEFT_KNEE][disk].any()
    assert targets.heatmap_weight[LEFT_KNEE, other_y, other_x] == targets.heatmap[LEFT_KNEE, other_y, other_x] == 1
    assert targets.heatmap_weight[LEFT_KNEE, :, -8:].all()
    assert targets.heatmap_weight[np.arange(17) != LEFT_KNEE].all()
    touching = [LEFT_KNEE in limb for limb in T.limbs]
    np.testing.assert_array_equal(targets.limb_weight.all(axis=(1, 2)), ~np.array(touching))
    assert targets.limb_weight[SHIN, other_y + 2, other_x] == 1


def test_a_joint_known_to_be_outside_is_a_negative_but_its_limb_is_unknown() -> None:
    sample = draw_figures(T, people=1, seed=0)
    sample.keypoints[0, LEFT_ANKLE] = 0
    targets = encoded(sample)
    assert not targets.heatmap[LEFT_ANKLE].any()
    assert targets.heatmap_weight.all()
    assert not targets.limb_weight[SHIN].all()
    sample.keypoints[0, LEFT_KNEE] = 0
    assert encoded(sample).limb_weight[SHIN].all()


def test_ignored_regions_are_unknown_outside_the_disks_of_labelled_joints() -> None:
    sample = draw_figures(T, people=2, seed=3)
    x, y = sample.keypoints[0, NOSE, :2].astype(int)
    sample.people[:, : x + 1] = sample.parts[:, : x + 1] = 255
    sample.has_mask[0] = False
    targets = encoded(sample)
    assert targets.heatmap[NOSE, y // 4, x // 4] == targets.heatmap_weight[NOSE, y // 4, x // 4] == 1
    cells = sample.people[2::4, 2::4] == 255
    np.testing.assert_array_equal(targets.heatmap_weight[:, cells], targets.heatmap[:, cells])
    assert targets.heatmap_weight[:, ~cells].all()
    assert not targets.projection_weight[cells].any()


def test_without_a_mask_the_box_is_the_region() -> None:
    sample = draw_figures(T, people=1, seed=0, height=0.4)
    sample.people[:] = sample.parts[:] = 0
    sample.has_mask[0] = False
    sample.keypoints[0, NOSE] = 0
    sample.joints_labelled[0, NOSE] = False
    sample.boxes[0] = 100, 120, 139, 159
    weight = encoded(sample).heatmap_weight[NOSE]
    expected = np.ones((64, 64), np.uint8)
    expected[30 - 8 : 39 + 9, 25 - 8 : 34 + 9] = 0  # 8 cells around the box
    np.testing.assert_array_equal(weight, expected)


def test_an_image_of_nobody_teaches_that_there_is_nobody() -> None:
    targets = encoded(draw_figures(T, people=0))
    assert targets.person_count == 0
    assert not targets.heatmap.any()
    assert targets.heatmap_weight.all()
    assert targets.limb_weight.all()
    assert not targets.projection_weight.any()


def test_more_people_than_rows_are_cut() -> None:
    targets = encoded(draw_figures(T, size=(64, 512), people=34))
    assert targets.person_count == 32
    assert targets.joints.shape[0] == 32


def test_a_canvas_off_the_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="figures_0_1: canvas 126x128 is not a multiple of 4"):
        encoded(draw_figures(T, size=(126, 128), people=1))


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


def test_an_epoch_holds_every_image_once_and_a_share_of_rendered_frames(dataset: FolderDataset) -> None:
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
def test_shares_that_the_images_do_not_allow(dataset: FolderDataset, share: float, indices: range, count: int) -> None:
    data = training_set(dataset, replace(smoke(), synthetic_fraction=share), indices)
    assert len(data) == len(data.order(0)) == count


def test_a_share_of_one_is_refused(dataset: FolderDataset) -> None:
    with pytest.raises(ValueError, match="synthetic_fraction=1"):
        training_set(dataset, replace(smoke(), synthetic_fraction=1))


@pytest.mark.parametrize(
    "change",
    [{"copy_paste_prob": 1.1}, {"copy_paste_prob": -0.1}, {"pseudo_label_fraction": 2}, {"pseudo_label_fraction": -1}],
)
def test_what_is_no_share_or_probability_is_refused(dataset: FolderDataset, change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(change))}=.*from 0 to 1"):
        training_set(dataset, replace(smoke(), **change))


def guessed(dataset: FolderDataset, count: int) -> FolderDataset:
    """The same images; of the first `count` a model guessed the joints."""
    copy = FolderDataset([], T)
    copy.records = [replace(record, ground_truth=i >= count) for i, record in enumerate(dataset.records)]
    return copy


@pytest.mark.parametrize(("share", "real", "rendered"), [(1.0, 12, 4), (0.5, 8, 3), (0.0, 4, 1)])
def test_a_share_of_guessed_images_is_drawn_anew_each_epoch(
    dataset: FolderDataset, share: float, real: int, rendered: int
) -> None:
    data = training_set(guessed(dataset, 8), replace(smoke(), pseudo_label_fraction=share, synthetic_fraction=0.25))
    orders = [data.order(epoch) for epoch in range(3)]
    for order in orders:
        assert len(data) == len(order) == len(set(order)) == real + rendered
        assert {8, 9, 10, 11} <= set(order)
        assert sum(i < 12 for i in order) == real
    drawn = {frozenset(i for i in order if i < 8) for order in orders}
    assert len(drawn) == (3 if share == 0.5 else 1)
    assert orders[1] == training_set(guessed(dataset, 8), data.config).order(1)


def test_a_whole_share_of_guessed_images_changes_no_order(dataset: FolderDataset) -> None:
    assert training_set(guessed(dataset, 8), smoke()).order(2) == training_set(dataset, smoke()).order(2)


def test_no_image_is_left_to_learn_from(dataset: FolderDataset) -> None:
    with pytest.raises(ValueError, match=r"pseudo_label_fraction=0\.0 leaves no image"):
        training_set(guessed(dataset, 12), replace(smoke(), pseudo_label_fraction=0.0), range(12))


class Watched(FolderDataset):
    """Remembers which images were read."""

    def __init__(self, dataset: FolderDataset) -> None:
        super().__init__([], dataset.taxonomy)
        self.records, self.read = dataset.records, list[int]()

    def load(self, index: int) -> Sample:
        self.read.append(index)
        return super().load(index)


def test_people_are_pasted_from_other_images_of_the_epoch_alone(dataset: FolderDataset) -> None:
    """Every third image shows nobody, 9 to 11 are not to be trained on, 12 and those after it are rendered."""
    watched = Watched(guessed(dataset, 3))
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


def test_pasting_changes_some_views_and_others_not_at_all(dataset: FolderDataset) -> None:
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


def test_ignored_pixels_can_be_taught_as_nobody(dataset: FolderDataset, tmp_path: Path) -> None:
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


def test_samples_depend_on_seed_and_epoch_and_not_on_what_was_drawn_before(dataset: FolderDataset) -> None:
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


def test_an_unreadable_image_is_named_once_and_teaches_nothing(
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
