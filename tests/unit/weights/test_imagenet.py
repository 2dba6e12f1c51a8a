"""ImageNet starting points: the names of timm, torchvision and the Swin authors to ours, and their maps from them."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from accelerate import init_empty_weights
from safetensors.torch import save_file
from timm.models.swin_transformer import checkpoint_filter_fn
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.config.published import IMAGENET
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.model.build import RESNET, SWIN, build_network
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.weights.imagenet import load_backbone, load_start


def classifier(backbone: str) -> nn.Module:
    """timm's model for a backbone, with random weights; what starts at zero or one is moved off it."""
    torch.manual_seed(0)
    model = timm.create_model(IMAGENET[backbone], pretrained=False, num_classes=0).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.2, 0.4)
    return model


def with_trunk_of(model: nn.Module, backbone: str) -> CMIRNet:
    config = ModelConfig(backbone=backbone, fusion_width=32, text_width=24)
    network = build_network(config).eval()
    load_backbone(network, model.state_dict(), config)
    return network


def stage_maps(network: CMIRNet, image: Tensor) -> list[Tensor]:
    maps = [image]
    for stage in network.stages:
        maps.append(stage(maps[-1]))
    return maps[1:]


@torch.inference_mode()
def test_resnet_stages_give_timms_maps():
    model, image = classifier("resnet50"), torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    expected = model.forward_intermediates(image, intermediates_only=True)
    for ours, theirs in zip(stage_maps(with_trunk_of(model, "resnet50"), image), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@torch.inference_mode()
def test_swin_stages_give_timms_maps_where_no_window_is_padded_and_every_map_is_larger_than_one():
    model, image = classifier("swin-t"), torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    expected = model.forward_intermediates(image, intermediates_only=True)
    ours = stage_maps(with_trunk_of(model, "swin-t"), image)
    for level in range(3):
        torch.testing.assert_close(ours[level], expected[level], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(ours[3], expected[3], atol=1e-4)  # one window: timm's last block does not shift, the published one does


def test_weights_of_another_trunk_are_refused_by_name_in_one_line():
    config = ModelConfig(backbone="resnet-nano", fusion_width=32, text_width=24)
    with pytest.raises(WeightsError, match=r"do not fit resnet-nano: .*Missing key\(s\).*0\.conv\.0\.weight") as caught:
        load_backbone(build_network(config), classifier("resnet50").state_dict(), config)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("start", "message"), [("imagenet", "no ImageNet weights for swin-nano"), ("coco", "unknown starting point 'coco'")]
)
def test_starting_point_that_does_not_exist_is_refused_with_a_hint(start: str, message: str):
    config = ModelConfig(backbone="swin-nano", fusion_width=32, text_width=24)
    with pytest.raises(WeightsError, match=message) as caught:
        load_start(build_network(config), config, start)
    assert "none" in caught.value.hint


State = dict[str, Tensor]


def network(backbone: str) -> tuple[CMIRNet, ModelConfig]:
    config = ModelConfig(backbone=backbone, fusion_width=32, text_width=24)
    return build_network(config).eval(), config


def resnet_file(path: Path, **form: bool) -> tuple[torch.nn.Module, Path]:
    torch.manual_seed(0)
    model = torchvision.models.resnet50(weights=None).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.uniform_(parameter, 0.2, 0.4)
    torch.save(model.state_dict(), path, **form)
    return model, path


def original_swin(width: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of `swin_*_22k.pth`, whose patch merging lies at the end of a stage and whose odd blocks keep their masks."""
    shapes: dict[str, tuple[int, ...]] = {"patch_embed.proj.weight": (width, 3, 4, 4), "patch_embed.proj.bias": (width,)}
    shapes |= {f"patch_embed.norm.{kind}": (width,) for kind in ("weight", "bias")}
    for stage, (depth, head) in enumerate(zip(depths, heads, strict=True)):
        channels = width * 2**stage
        for block in range(depth):
            shapes |= original_block(f"layers.{stage}.blocks.{block}", channels, head, window)
            if block % 2 and stage < len(depths) - 1:
                shapes[f"layers.{stage}.blocks.{block}.attn_mask"] = (4 ** (3 - stage), window**2, window**2)
        if stage < len(depths) - 1:
            shapes[f"layers.{stage}.downsample.reduction.weight"] = (2 * channels, 4 * channels)
            shapes |= {f"layers.{stage}.downsample.norm.{kind}": (4 * channels,) for kind in ("weight", "bias")}
    last = width * 8
    return shapes | {"norm.weight": (last,), "norm.bias": (last,), "head.weight": (21841, last), "head.bias": (21841,)}


def original_block(name: str, width: int, heads: int, window: int) -> dict[str, tuple[int, ...]]:
    linear = {"attn.qkv": (3 * width, width), "attn.proj": (width, width), "mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
    shapes: dict[str, tuple[int, ...]] = {f"{name}.{norm}.{kind}": (width,) for norm in ("norm1", "norm2") for kind in ("weight", "bias")}
    for layer, (outputs, inputs) in linear.items():
        shapes |= {f"{name}.{layer}.weight": (outputs, inputs), f"{name}.{layer}.bias": (outputs,)}
    shapes[f"{name}.attn.relative_position_bias_table"] = ((2 * window - 1) ** 2, heads)
    shapes[f"{name}.attn.relative_position_index"] = (window**2, window**2)
    return shapes


SWIN_T = original_swin(96, (2, 2, 6, 2), (3, 6, 12, 24), 7)


@pytest.fixture(scope="module")
def swin_t() -> State:
    made = torch.Generator().manual_seed(0)
    return {name: torch.empty(shape).uniform_(-0.05, 0.05, generator=made) for name, shape in SWIN_T.items()}


@pytest.fixture(scope="module")
def swin_file(swin_t: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("swin") / "swin_tiny_patch4_window7_224_22k.pth"
    torch.save({"model": swin_t}, path)
    return path


@torch.inference_mode()
@pytest.mark.parametrize("zipped", [True, False])
def test_torchvisions_resnet_file_gives_torchvisions_maps(tmp_path: Path, zipped: bool):
    model, path = resnet_file(tmp_path / "resnet50.pth", _use_new_zipfile_serialization=zipped)
    ours, config = network("resnet50")
    report = load_start(ours, config, str(path))
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    expected, found = image, image
    for stage in (torch.nn.Sequential(model.conv1, model.bn1, model.relu), torch.nn.Sequential(model.maxpool, model.layer1), model.layer2):
        expected = stage(expected)
    for stage in ours.stages[:3]:
        found = stage(found)
    torch.testing.assert_close(found, expected)
    assert report.ignored == ("fc.bias", "fc.weight")
    assert (len(report.used), report.missing) == (318, ())


def test_old_resnet_file_without_counters_is_read_and_they_are_reported(tmp_path: Path):
    model, _ = resnet_file(tmp_path / "new.pth")
    old = {name: torch.nn.Parameter(value) for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "resnet50-19c8e357.pth", _use_new_zipfile_serialization=False)
    ours, config = network("resnet50")
    report = load_start(ours, config, str(tmp_path / "resnet50-19c8e357.pth"))
    assert len(report.missing) == 53
    assert all(name.endswith("num_batches_tracked") for name in report.missing)
    assert torch.equal(ours.stages[4].blocks[2].conv3.weight, model.layer4[2].conv3.weight)


def test_swin_authors_file_fills_the_trunk_as_timm_fills_its_own(swin_t: State, swin_file: Path):
    ours, config = network("swin-t")
    report = load_start(ours, config, str(swin_file))
    theirs = timm.create_model("swin_tiny_patch4_window7_224.ms_in22k", pretrained=False, num_classes=0)
    renamed = {name: value for name, value in checkpoint_filter_fn(dict(swin_t), theirs).items() if not name.startswith("head.")}
    theirs.load_state_dict(renamed, strict=True)
    twin, _ = network("swin-t")
    load_backbone(twin, theirs.state_dict(), config)
    expected = twin.stages.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in ours.stages.state_dict().items())
    ignored = {name.rpartition(".")[2] if "layers" in name else name for name in report.ignored}
    assert ignored == {"norm.weight", "norm.bias", "head.weight", "head.bias", "relative_position_index", "attn_mask"}
    assert {*report.used, *report.ignored} == SWIN_T.keys()
    assert report.missing == ()


@torch.inference_mode()
def test_patch_merging_takes_the_neighbours_in_the_authors_order(swin_t: State, swin_file: Path):
    """(0,0), (1,0), (0,1), (1,1) as (row, column), an odd map padded: written here as the Swin authors slice it."""
    ours, config = network("swin-t")
    load_start(ours, config, str(swin_file))
    x = torch.randn(1, 5, 6, 96, generator=torch.Generator().manual_seed(2))
    padded = F.pad(x, (0, 0, 0, 0, 0, 1))
    merged = torch.cat([padded[:, row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))], dim=-1)
    weight, bias = (swin_t[f"layers.0.downsample.norm.{kind}"] for kind in ("weight", "bias"))
    expected = F.layer_norm(merged, (384,), weight, bias) @ swin_t["layers.0.downsample.reduction.weight"].T
    torch.testing.assert_close(ours.stages[1].down(x), expected)


@pytest.mark.parametrize(("backbone", "width", "heads"), [("swin-b", 128, (4, 8, 16, 32)), ("swin-l", 192, (6, 12, 24, 48))])
def test_names_and_shapes_of_the_published_trunks_fit(backbone: str, width: int, heads: tuple[int, ...]):
    config = ModelConfig(backbone=backbone, fusion_width=32, text_width=24)
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in original_swin(width, (2, 2, 18, 2), heads, 12).items()}
        empty = build_network(config)
    report = load_backbone(empty, state, config)
    assert (len(report.used), len(report.ignored)) == (4 + 24 * 13 + 9, 4 + 24 + 11)


@pytest.mark.parametrize("name", ["layers.2.blocks.5.attn.relative_position_bias_table", "layers.2.downsample.norm.bias"])
def test_missing_entry_is_refused(swin_t: State, name: str):
    ours, config = network("swin-t")
    with pytest.raises(WeightsError, match=r"do not fit swin-t: .*Missing key\(s\)"):
        load_backbone(ours, {key: value for key, value in swin_t.items() if key != name}, config)


def test_unknown_entry_is_refused_by_name(swin_t: State):
    ours, config = network("swin-t")
    with pytest.raises(WeightsError, match=r"Unexpected key\(s\).*absolute_pos_embed"):
        load_backbone(ours, swin_t | {"absolute_pos_embed": torch.ones(1)}, config)


def test_file_of_another_backbone_is_refused(swin_file: Path):
    with init_empty_weights():
        config = ModelConfig(backbone="swin-b", fusion_width=32, text_width=24)
        ours = build_network(config)
    with pytest.raises(WeightsError, match="do not fit swin-b"):
        load_start(ours, config, str(swin_file))


def test_file_of_something_else_is_refused(tmp_path: Path):
    ours, config = network("swin-nano")
    torch.save({"model": [1, 2]}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="is not a state dict: it is something of type list"):
        load_start(ours, config, str(tmp_path / "x.pth"))


@pytest.fixture(scope="module")
def nano() -> State:
    """A small ResNet under timm's names, as timm builds it, with its classifier."""
    variant = RESNET["resnet-nano"]
    torch.manual_seed(0)
    stem = {"stem_type": variant.stem_type, "stem_width": variant.stem_width}
    return timm.models.resnet.ResNet(variant.block, variant.depths, channels=variant.planes, **stem).state_dict()


FORMS = {
    "safetensors": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "optimizer": {"state": {}}},
    "state_dict, model": lambda state: {"state_dict": {"model": state}},
    "model_ema": lambda state: {"model_ema": state, "args": None},
    "teacher": lambda state: {"teacher": {f"module.{name}": tensor for name, tensor in state.items()}},
    "module.": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "_orig_mod.": lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
    "state_dict, backbone.": lambda state: {
        "state_dict": {f"backbone.{n}": t for n, t in state.items()} | {"decode_head.conv_seg.weight": torch.ones(2)}
    },
    "model, module.encoder_q.": lambda state: {"model": {f"encoder_q.{n}": t for n, t in state.items()} | {"queue": torch.ones(2)}},
    "half": lambda state: {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()},
}


@pytest.mark.parametrize("form", FORMS)
def test_backbone_is_found_in_whatever_it_is_wrapped_in(nano: State, tmp_path: Path, form: str):
    path = tmp_path / "weights.bin"
    content = FORMS[form](nano)
    save_file({name: tensor.contiguous() for name, tensor in content.items()}, path) if form == "safetensors" else torch.save(content, path)
    ours, config = network("resnet-nano")
    report = load_start(ours, config, str(path))
    exact = {"atol": 1e-3, "rtol": 1e-3} if form == "half" else {"atol": 0, "rtol": 0}
    torch.testing.assert_close(ours.stages[1].blocks[0].conv2.weight, nano["layer1.0.conv2.weight"], **exact)
    torch.testing.assert_close(ours.stages[0].conv[0].weight, nano["conv1.0.weight"], **exact)
    assert len(report.used) == len(nano) - 2
    assert report.missing == ()
    assert {"fc.weight", "fc.bias"} <= {*report.ignored} <= {"fc.weight", "fc.bias", "decode_head.conv_seg.weight", "queue"}
    places = {"safetensors": "", "half": "", "module.": "", "model, module.encoder_q.": "model, encoder_q."}
    assert report.place == places.get(form, form)


@pytest.mark.parametrize("outer", [{}, {"epoch": 1}])
def test_file_with_two_backbones_is_refused_with_both(nano: State, tmp_path: Path, outer: dict[str, object]):
    both = {f"{part}.backbone.{name}": tensor for part in ("student", "teacher") for name, tensor in nano.items()}
    torch.save({"state_dict": both, **outer} if outer else both, tmp_path / "x.pth")
    ours, config = network("resnet-nano")
    with pytest.raises(WeightsError, match=r"holds several backbones: student\.backbone\.\*, teacher\.backbone\.\*"):
        load_start(ours, config, str(tmp_path / "x.pth"))


@pytest.mark.parametrize("damage", ["cut short", "header only", "of another name"])
def test_damaged_safetensors_are_refused(nano: State, tmp_path: Path, damage: str):
    path = tmp_path / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in nano.items()}, path)
    content = path.read_bytes()
    path.write_bytes({"cut short": content[:-1], "header only": content[:300], "of another name": b"PK\x03\x04" + content}[damage])
    ours, config = network("resnet-nano")
    with pytest.raises(WeightsError, match=r"model\.safetensors is not a readable (safetensors file|checkpoint): ") as caught:
        load_start(ours, config, str(path))
    assert "download it again" in caught.value.hint


@pytest.mark.parametrize(("backbone", "window", "other"), [("swin-t", 7, 8), ("swin-s", 7, 12)])
def test_swin_with_another_window_is_refused_with_both(backbone: str, window: int, other: int):
    config = ModelConfig(backbone=backbone, fusion_width=32, text_width=24)
    variant = SWIN[backbone]
    with torch.device("meta"):
        shapes = original_swin(variant.width, variant.depths, variant.heads, other)
        state, empty = {name: torch.empty(shape) for name, shape in shapes.items()}, build_network(config)
    with pytest.raises(
        WeightsError, match=f"do not fit {backbone}: they are of a Swin with window {other}, {backbone} has window {window}$"
    ):
        load_backbone(empty, state, config)
