import copy
import re
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.backbones.base import Backbone
from model.backbones.build import build_backbone, freeze_batch_norm, load_pretrained
from model.backbones.dinov2 import DinoV2, resample_patch
from model.backbones.efficientnet_lite import EfficientNetLite
from model.config import ModelConfig

Shapes = dict[str, tuple[int, ...]]


# The public checkpoints, written down from their own definitions and not from the code under test.


def batch_norm_shapes(name: str, channels: int) -> Shapes:
    vectors = {f"{name}.{field}": (channels,) for field in ("weight", "bias", "running_mean", "running_var")}
    return {**vectors, f"{name}.num_batches_tracked": ()}


def resnet_shapes(counts: tuple[int, ...], bottleneck: bool) -> Shapes:
    shapes: Shapes = {"conv1.weight": (64, 3, 7, 7), **batch_norm_shapes("bn1", 64)}
    inside = 64
    for layer, (width, count) in enumerate(zip((64, 128, 256, 512), counts, strict=True), start=1):
        outside = width * 4 if bottleneck else width
        for block in range(count):
            name = f"layer{layer}.{block}"
            if bottleneck:
                convs = [(width, inside, 1, 1), (width, width, 3, 3), (outside, width, 1, 1)]
            else:
                convs = [(width, inside, 3, 3), (width, width, 3, 3)]
            for index, shape in enumerate(convs, start=1):
                shapes[f"{name}.conv{index}.weight"] = shape
                shapes |= batch_norm_shapes(f"{name}.bn{index}", shape[0])
            if block == 0 and (layer > 1 or bottleneck):
                shapes[f"{name}.downsample.0.weight"] = (outside, inside, 1, 1)
                shapes |= batch_norm_shapes(f"{name}.downsample.1", outside)
            inside = outside
    return {**shapes, "fc.weight": (1000, inside), "fc.bias": (1000,)}


def efficientnet_lite_shapes(rows: tuple[tuple[int, int, int, int, int], ...]) -> Shapes:
    """`rows`: repeats, kernel, expansion, input and output channels of every stage."""
    shapes: Shapes = {"_conv_stem.weight": (32, 3, 3, 3), **batch_norm_shapes("_bn0", 32)}
    index = 0
    for repeats, kernel, expansion, first, out in rows:
        for inside in [first] + [out] * (repeats - 1):
            name, inner = f"_blocks.{index}", inside * expansion
            if expansion > 1:
                shapes[f"{name}._expand_conv.weight"] = (inner, inside, 1, 1)
                shapes |= batch_norm_shapes(f"{name}._bn0", inner)
            shapes[f"{name}._depthwise_conv.weight"] = (inner, 1, kernel, kernel)
            shapes |= batch_norm_shapes(f"{name}._bn1", inner)
            shapes[f"{name}._project_conv.weight"] = (out, inner, 1, 1)
            shapes |= batch_norm_shapes(f"{name}._bn2", out)
            index += 1
    shapes |= {"_conv_head.weight": (1280, rows[-1][-1], 1, 1), **batch_norm_shapes("_bn1", 1280)}
    return {**shapes, "_fc.weight": (1000, 1280), "_fc.bias": (1000,)}


def dinov2_shapes() -> Shapes:
    shapes: Shapes = {
        "cls_token": (1, 1, 384),
        "pos_embed": (1, 1370, 384),
        "mask_token": (1, 384),
        "patch_embed.proj.weight": (384, 3, 14, 14),
        "patch_embed.proj.bias": (384,),
        "norm.weight": (384,),
        "norm.bias": (384,),
    }
    for block in range(12):
        for name, out, inside in (
            ("attn.qkv", 1152, 384),
            ("attn.proj", 384, 384),
            ("mlp.fc1", 1536, 384),
            ("mlp.fc2", 384, 1536),
        ):
            shapes |= {f"blocks.{block}.{name}.weight": (out, inside), f"blocks.{block}.{name}.bias": (out,)}
        for name in ("norm1.weight", "norm1.bias", "ls1.gamma", "norm2.weight", "norm2.bias", "ls2.gamma"):
            shapes[f"blocks.{block}.{name}"] = (384,)
    return shapes


PUBLIC: dict[str, Shapes] = {
    "resnet18": resnet_shapes((2, 2, 2, 2), bottleneck=False),
    "resnet50": resnet_shapes((3, 4, 6, 3), bottleneck=True),
    "resnet101": resnet_shapes((3, 4, 23, 3), bottleneck=True),
    "efficientnet_lite0": efficientnet_lite_shapes(
        (
            (1, 3, 1, 32, 16),
            (2, 3, 6, 16, 24),
            (2, 5, 6, 24, 40),
            (3, 3, 6, 40, 80),
            (3, 5, 6, 80, 112),
            (4, 5, 6, 112, 192),
            (1, 3, 6, 192, 320),
        )
    ),
    "efficientnet_lite2": efficientnet_lite_shapes(
        (
            (1, 3, 1, 32, 16),
            (3, 3, 6, 16, 24),
            (3, 5, 6, 24, 48),
            (4, 3, 6, 48, 88),
            (4, 5, 6, 88, 120),
            (5, 5, 6, 120, 208),
            (1, 3, 6, 208, 352),
        )
    ),
    "dinov2_vits14": dinov2_shapes(),
}
CLASSIFIER = re.compile(r"(fc|_fc|_conv_head|_bn1|mask_token)(\..*)?")
NAMES = tuple(PUBLIC)
CNNS = tuple(name for name in NAMES if name != "dinov2_vits14")


def build(name: str, blocks: int = 12) -> Backbone:
    torch.manual_seed(0)
    return build_backbone(ModelConfig(backbone=name, backbone_blocks=blocks))  # type: ignore[arg-type]


def public_state(name: str) -> dict[str, Tensor]:
    """A checkpoint of the public names and shapes, with random weights."""
    generator = torch.Generator().manual_seed(1)
    state = {key: torch.rand(shape, generator=generator) for key, shape in PUBLIC[name].items()}
    return {key: torch.tensor(7) if key.endswith("num_batches_tracked") else value for key, value in state.items()}


def batch_norms(module: nn.Module) -> Iterator[nn.BatchNorm2d]:
    return (layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d))


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", (64, 128, 256, 512)),
        ("resnet50", (256, 512, 1024, 2048)),
        ("resnet101", (256, 512, 1024, 2048)),
        ("efficientnet_lite0", (24, 40, 112, 320)),
        ("efficientnet_lite2", (24, 48, 120, 352)),
        ("dinov2_vits14", None),
    ],
)
def test_levels_have_strides_4_to_32_and_the_declared_channels(
    name: str, channels: tuple[int, int, int, int] | None
) -> None:
    backbone = build(name).eval()
    with torch.no_grad():
        levels = backbone(torch.randn(2, 3, 64, 96))
    assert channels in (None, backbone.channels)
    expected = [(2, c, 64 // stride, 96 // stride) for c, stride in zip(backbone.channels, (4, 8, 16, 32), strict=True)]
    assert [tuple(level.shape) for level in levels] == expected


@pytest.mark.parametrize("name", NAMES)
def test_pretrained_part_has_the_public_names_and_shapes(name: str) -> None:
    backbone = build(name)
    own = {key: tuple(value.shape) for key, value in backbone.state_dict().items() if backbone.is_pretrained(key)}
    expected = {key: shape for key, shape in PUBLIC[name].items() if not CLASSIFIER.fullmatch(key)}
    if name == "dinov2_vits14":
        expected["patch_embed.proj.weight"] = (384, 3, 16, 16)
    assert own == expected


@pytest.mark.parametrize(
    ("name", "published", "left_out"),
    [
        ("resnet18", 11_689_512, 513_000),  # torchvision's counts, less the classifier
        ("resnet50", 25_557_032, 2_049_000),
        ("resnet101", 44_549_160, 2_049_000),
        ("efficientnet_lite0", 4_652_008, 1_281_000 + 412_160),  # less the classifier and its 1280-channel head
        ("efficientnet_lite2", 6_092_072, 1_281_000 + 453_120),
        ("dinov2_vits14", 22_056_576, 384 - 384 * 3 * (16**2 - 14**2)),  # less the mask token; larger patches
    ],
)
def test_pretrained_part_has_the_published_size(name: str, published: int, left_out: int) -> None:
    assert sum(p.numel() for p in build(name).pretrained_parameters()) == published - left_out


@pytest.mark.parametrize("name", NAMES)
def test_public_weights_fill_the_pretrained_part_and_nothing_else(name: str) -> None:
    backbone, public = build(name), public_state(name)
    extras = {key: value.clone() for key, value in backbone.state_dict().items() if not backbone.is_pretrained(key)}
    load_pretrained(backbone, public)
    for key, value in backbone.state_dict().items():
        if key != "patch_embed.proj.weight":
            torch.testing.assert_close(value, extras.get(key, public.get(key)), rtol=0, atol=0)


def test_old_checkpoints_without_batch_counters_load() -> None:
    backbone, public = build("resnet18"), public_state("resnet18")
    load_pretrained(backbone, {k: v for k, v in public.items() if not k.endswith("num_batches_tracked")})
    torch.testing.assert_close(backbone.state_dict()["layer4.1.bn2.weight"], public["layer4.1.bn2.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer1.0.conv1.weight": None, "bn1.bias": None}, r"missing: bn1\.bias, layer1\.0\.conv1\.weight"),
        ({"layer5.0.conv1.weight": torch.zeros(1)}, r"unexpected: layer5\.0\.conv1\.weight"),
        ({"bn1.weight": torch.zeros(32)}, r"misshaped: bn1\.weight is \(32,\) instead of \(64,\)"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_nothing_is_loaded(
    change: dict[str, Tensor | None], message: str
) -> None:
    backbone = build("resnet18")
    before = copy.deepcopy(backbone.state_dict())
    state = {key: value for key, value in {**public_state("resnet18"), **change}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        load_pretrained(backbone, state)
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_weights_of_another_backbone_are_refused_briefly() -> None:
    with pytest.raises(ValueError, match=r"not those of DinoV2 .* and \d+ more.*public checkpoint") as raised:
        load_pretrained(build("dinov2_vits14"), public_state("resnet50"))
    assert len(str(raised.value)) < 1000


def test_unknown_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown backbone 'vgg16'; known: resnet18"):
        build("vgg16")


@pytest.mark.parametrize("name", CNNS)
def test_frozen_statistics_stay_in_training_while_scales_learn(name: str) -> None:
    backbone = build(name)
    load_pretrained(backbone, public_state(name))
    names = list(backbone.state_dict())
    image = torch.randn(2, 3, 32, 32)
    freeze_batch_norm(backbone)
    backbone.train()
    before = [(layer.running_mean.clone(), layer.running_var.clone()) for layer in batch_norms(backbone)]
    levels = backbone(image)
    sum(level.mean() for level in levels).backward()
    after = [(layer.running_mean, layer.running_var) for layer in batch_norms(backbone)]
    assert all(torch.equal(a, b) for pair in zip(before, after, strict=True) for a, b in zip(*pair, strict=True))
    assert all(not layer.training and layer.weight.grad is not None for layer in batch_norms(backbone))
    assert list(backbone.state_dict()) == names


def test_frozen_backbone_answers_in_training_as_in_evaluation() -> None:
    backbone = build("efficientnet_lite0")
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = backbone.eval()(image)
        freeze_batch_norm(backbone)
        actual = copy.deepcopy(backbone).train()(image)
    torch.testing.assert_close(actual, expected)


def test_freezing_spares_the_statistics_of_the_dinov2_stem() -> None:
    backbone = build("dinov2_vits14", blocks=4)
    freeze_batch_norm(backbone)
    backbone.train()
    with torch.no_grad():
        backbone(torch.randn(1, 3, 32, 32))
    assert all(int(layer.num_batches_tracked) == 1 for layer in batch_norms(backbone))


# EfficientNet-Lite


def test_efficientnet_pads_at_the_right_and_below_as_tensorflow_does() -> None:
    stem = build("efficientnet_lite0").get_submodule("_conv_stem")
    assert isinstance(stem, nn.Conv2d)
    nn.init.ones_(stem.weight)
    seen = stem(torch.ones(1, 3, 8, 8))[0, 0] / 3  # how many pixels of its 3x3 window an output saw
    expected = torch.tensor([[9.0, 9.0, 9.0, 6.0]] * 3 + [[6.0, 6.0, 6.0, 4.0]])
    torch.testing.assert_close(seen, expected)


def test_efficientnet_sees_pixels_in_the_range_of_its_weights() -> None:
    backbone = build("efficientnet_lite0").eval()
    assert isinstance(backbone, EfficientNetLite)
    seen: list[Tensor] = []
    backbone.get_submodule("_conv_stem").register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    rgb = torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 1, 3) * 128 + 127  # one grey ramp for all channels
    rgb = rgb.expand(1, 3, 32, 3).repeat(1, 1, 1, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        backbone((rgb / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    torch.testing.assert_close(seen[0], (rgb - 127) / 128, rtol=0, atol=1e-5)


# DINOv2


@pytest.mark.parametrize(("blocks", "taps"), [(4, (1, 2, 3, 4)), (9, (3, 5, 7, 9)), (12, (3, 6, 9, 12))])
def test_dinov2_runs_only_its_blocks_and_spreads_the_taps(blocks: int, taps: tuple[int, ...]) -> None:
    backbone = build("dinov2_vits14", blocks)
    assert isinstance(backbone, DinoV2)
    assert backbone.out_indices == taps
    load_pretrained(backbone, public_state("dinov2_vits14"))
    assert {key.split(".")[1] for key in backbone.state_dict() if key.startswith("blocks.")} == {
        str(block) for block in range(blocks)
    }


@pytest.mark.parametrize("blocks", [3, 13])
def test_dinov2_refuses_a_number_of_blocks_it_cannot_tap(blocks: int) -> None:
    with pytest.raises(ValueError, match=f"backbone_blocks is {blocks}"):
        build("dinov2_vits14", blocks)


def test_dinov2_attention_reads_the_public_layout_of_queries_keys_and_values() -> None:
    attention = build("dinov2_vits14", blocks=4).get_submodule("blocks.0.attn")
    reference = nn.MultiheadAttention(384, 6, batch_first=True)
    own = attention.state_dict()
    reference.load_state_dict(
        {
            "in_proj_weight": own["qkv.weight"],
            "in_proj_bias": own["qkv.bias"],
            "out_proj.weight": own["proj.weight"],
            "out_proj.bias": own["proj.bias"],
        }
    )
    x = torch.randn(2, 7, 384)
    torch.testing.assert_close(attention(x), reference(x, x, x)[0])


def test_resampled_patch_answers_as_the_public_one_does_on_the_shrunk_patch() -> None:
    generator = torch.Generator().manual_seed(2)
    filters = torch.randn(5, 3, 14, 14, generator=generator, dtype=torch.float64)
    patch = torch.randn(1, 3, 16, 16, generator=generator, dtype=torch.float64)
    shrunk = F.interpolate(patch, size=(14, 14), mode="bicubic", antialias=True)
    torch.testing.assert_close(F.conv2d(patch, resample_patch(filters, 16)), F.conv2d(shrunk, filters))


def test_resampled_patch_keeps_its_response_to_a_constant_colour() -> None:
    constant = torch.full((1, 3, 14, 14), 0.25)
    torch.testing.assert_close(resample_patch(constant, 16).sum(), constant.sum())


def test_loading_resamples_the_patch_filters_and_loading_again_keeps_them() -> None:
    backbone, public = build("dinov2_vits14"), public_state("dinov2_vits14")
    load_pretrained(backbone, public)
    filters = backbone.state_dict()["patch_embed.proj.weight"].clone()
    torch.testing.assert_close(filters, resample_patch(public["patch_embed.proj.weight"], 16))
    load_pretrained(backbone, {k: v for k, v in backbone.state_dict().items() if backbone.is_pretrained(k)})
    assert torch.equal(backbone.state_dict()["patch_embed.proj.weight"], filters)


def test_position_embedding_of_the_public_grid_is_the_public_one() -> None:
    backbone = build("dinov2_vits14", blocks=4)
    assert isinstance(backbone, DinoV2)
    torch.testing.assert_close(backbone.position_embedding(37, 37), backbone.pos_embed[:, 1:], rtol=0, atol=1e-6)


def test_position_embedding_keeps_rows_and_columns_apart() -> None:
    backbone = build("dinov2_vits14", blocks=4)
    assert isinstance(backbone, DinoV2)
    rows = torch.arange(37.0).view(1, 37, 1, 1).expand(1, 37, 37, 384)
    with torch.no_grad():
        backbone.pos_embed[:, 1:] = rows.reshape(1, 37 * 37, 384)
        grid = backbone.position_embedding(4, 6).view(4, 6, 384)
    torch.testing.assert_close(grid, grid[:, :1].expand(4, 6, 384))
    assert bool((grid[1:, 0, 0] > grid[:-1, 0, 0] + 5).all())


def test_freezing_dinov2_trains_the_extras_alone_and_changes_no_answer() -> None:
    backbone = build("dinov2_vits14", blocks=4).eval()
    image = torch.randn(1, 3, 64, 32)
    expected = backbone(image)
    backbone.freeze_pretrained()
    levels = backbone(image)
    torch.testing.assert_close(levels, expected)
    sum(level.mean() for level in levels).backward()
    for name, parameter in backbone.named_parameters():
        assert (parameter.grad is not None) == (name.split(".")[0] in backbone.extras), name


def test_dinov2_exports_with_free_height_and_width() -> None:
    backbone = build("dinov2_vits14", blocks=4).eval()
    height, width = (torch.export.Dim(name, min=2, max=32) for name in ("height", "width"))
    exported = torch.export.export(
        backbone, (torch.randn(2, 3, 64, 96),), dynamic_shapes=({2: 32 * height, 3: 32 * width},)
    ).module()
    image = torch.randn(2, 3, 128, 64)
    with torch.no_grad():
        torch.testing.assert_close(exported(image), backbone(image))
