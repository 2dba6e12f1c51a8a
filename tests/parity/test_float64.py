"""ResNet-101 at 480 px and a training step, against the published formulas written out once more, in float64.

The second writing is as plain as can be: functions over the official state dict, torchvision's ResNet, loops over heads. It is itself
compared with the official code's numbers, which exist for ResNet-50 at 224 px. In fp32 two correct implementations can choose different
words where two distances nearly tie, so masks are judged in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor
from torch.nn import functional as F

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.weights.official import convert_official

NEIGHBOURS, HEADS, LEVELS = 9, 8, ("3", "4", "5", "aspp")


class Written:
    """CMIRNet with a ResNet, from an official state dict. Legend: B batch, C channels, N positions, T tokens."""

    def __init__(self, depth: int, state: dict[str, Tensor], *, train: bool) -> None:
        self.state, self.train = state, train
        with torch.device("meta"):
            self.trunk = getattr(torchvision.models, f"resnet{depth}")()
        backbone = {name.removeprefix("backbone."): value for name, value in state.items() if name.startswith("backbone.")}
        self.trunk.load_state_dict(backbone, strict=False, assign=True)
        self.trunk.fc = torch.nn.Identity()
        self.trunk.train(train)

    def conv(self, name: str, x: Tensor, **options: int) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        return (F.conv1d if weight.ndim == 3 else F.conv2d)(x, weight, bias, **options)

    def norm(self, name: str, x: Tensor) -> Tensor:
        mean, var = (None, None) if self.train else (self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"])
        return F.batch_norm(x, mean, var, self.state[f"{name}.weight"], self.state[f"{name}.bias"], training=self.train)

    def conv_norm_relu(self, name: str, x: Tensor, first: int = 0, **options: int) -> Tensor:
        return F.relu(self.norm(f"{name}.{first + 1}", self.conv(f"{name}.{first}", x, **options)))

    def __call__(self, image: Tensor, words: Tensor, keep: Tensor, sentence: Tensor) -> list[Tensor]:
        """Image (B, 3, H, W), words (B, 768, T), keep (B, T) of 0 and 1, sentence (B, 768) to the logits of all heads, finest first."""
        trunk = self.trunk
        x1 = F.relu(trunk.bn1(trunk.conv1(image)))
        x = x2 = trunk.layer1(trunk.maxpool(x1))
        skips, sentences, all_words = {}, {}, []
        for level, stage in zip(LEVELS, (trunk.layer2, trunk.layer3, trunk.layer4, self.context), strict=True):
            x = stage(x)
            name = f"TGMM_{level}" if level == "aspp" else f"TGMM{level}"
            skips[level], sentences[level], new_words = self.fusion(name, x, words, keep, sentence)
            all_words.append(new_words)
            x = x + skips[level]
        nodes = self.conv_norm_relu("gcn.conv_V", x, padding=1)
        text = F.relu(F.instance_norm(self.conv("gcn.conv_T.0", words))) + sum(all_words)
        graph = self.reasoning(self.graph(nodes, text)) + nodes
        maps = self.decoder(skips, sentences, graph, x1, x2)
        heads = zip(("1", "2", "3", "4", "5", "aspp"), maps, strict=True)
        logits = [self.conv(f"conv_2_{head}", each, padding=1) for head, each in heads]
        return [F.interpolate(each, size=image.shape[-2:], mode="bilinear", align_corners=False) for each in logits]

    def context(self, x: Tensor) -> Tensor:
        branches = [self.conv_norm_relu("aspp.convs.0", x)]
        branches += [self.conv_norm_relu(f"aspp.convs.{k}", x, padding=rate, dilation=rate) for k, rate in ((1, 3), (2, 6), (3, 9))]
        return self.conv_norm_relu("aspp.project", torch.cat(branches, 1))

    def fusion(self, name: str, x: Tensor, words: Tensor, keep: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        part, flat, mask = f"{name}.image_lang_att", x.flatten(2), keep.unsqueeze(1)
        visual = F.relu(self.conv(f"{name}.vis_project.0", flat))
        query = F.instance_norm(self.conv(f"{part}.f_query.0", flat))
        key, value, value2 = (mask * self.conv(f"{part}.{each}.0", words) for each in ("f_key", "f_value", "f_value2"))
        query, key, value, value2 = (each.unflatten(1, (HEADS, -1)) for each in (query, key, value, value2))
        scores = torch.einsum("bhcn,bhct->bhnt", query, key) / 512**0.5  # of all channels, not of a head's
        attention = (scores + (1e4 * keep - 1e4)[:, None, None]).softmax(-1)
        weighted = (attention.mean(2, keepdim=True) * value2).flatten(1, 2)
        new_words = self.conv(f"{part}.W2.0", weighted)
        embedding = self.conv(f"{part}.project_emb.0", sentence.unsqueeze(-1))
        new_sentence = self.conv(f"{part}.W3.0", self.state[f"{part}.gamma"] * weighted.mean(-1, keepdim=True) + embedding) + embedding
        attended = torch.einsum("bhnt,bhct->bhcn", attention, value).flatten(1, 2)
        fused = F.relu(self.conv(f"{name}.project_mm.0", visual * F.instance_norm(self.conv(f"{part}.W1.0", attended))))
        return fused.view_as(x), new_sentence, new_words

    def graph(self, nodes: Tensor, text: Tensor) -> Tensor:
        flat, maps = nodes.flatten(2), []
        for head in range(HEADS):
            own = slice(head * 64, head * 64 + 64)
            v, y = flat[:, own].transpose(1, 2), text[:, own].transpose(1, 2)
            distances = torch.cdist(F.normalize(v, dim=-1), F.normalize(y, dim=-1), compute_mode="donot_use_mm_for_euclid_dist")
            nearest = distances.detach().argsort(dim=-1)[..., :NEIGHBOURS]
            chosen = torch.stack([words[places] for words, places in zip(y, nearest, strict=True)])
            here = v.unsqueeze(2).expand_as(chosen)
            edges = torch.cat([here, chosen - here], -1).permute(0, 3, 1, 2)
            convolved = self.conv_norm_relu(f"gcn.CGI.graphconv.{head}.homoGR_feat.gconv.nn", edges, padding=1)
            maps.append(convolved.amax(-1))
        heads = torch.stack(maps, 1)
        projected = F.linear(heads.amax(-1), self.state["gcn.CGI.linear.weight"], self.state["gcn.CGI.linear.bias"]).transpose(1, 2)
        k, q, v = projected.split(64, 1)
        weights = (v @ (q.transpose(1, 2) @ k).softmax(-2)).transpose(1, 2)
        return (heads * weights.unsqueeze(-1)).flatten(1, 2).view_as(nodes)

    def reasoning(self, x: Tensor) -> Tensor:
        x = self.conv_norm_relu("gcn.IGR.conv", x, padding=1)
        q, k, v = self.conv("gcn.IGR.qkv", x).flatten(2).unflatten(1, (HEADS, 3, 64)).unbind(2)
        attention = (q.transpose(2, 3) @ k / 64**0.5).softmax(-1)
        return self.conv("gcn.IGR.proj", (v @ attention.transpose(2, 3)).flatten(1, 2).view_as(x))

    def decoder(self, skips: dict[str, Tensor], sentences: dict[str, Tensor], graph: Tensor, x1: Tensor, x2: Tensor) -> list[Tensor]:
        maps, below = [], graph
        for level in LEVELS[::-1]:
            skip, name = self.conv_norm_relu(f"cmae.linear_x_{level}", skips[level]), f"_{level}" if level == "aspp" else level
            below = enlarged(below) if level in "34" else below
            pair = [skip, below] if level == "aspp" else [below, skip]
            d = self.block(f"cmae.ConvBNRelu{name}_1", torch.cat(pair, 1))
            below = self.block(f"cmae.ConvBNRelu{name}_2", torch.cat([d, self.fuse(f"cmae.fusion{level}", d, sentences[level])], 1))
            maps.append(below)
        for level, raw in (("2", x2), ("1", x1)):
            below = self.block(f"cmae.ConvBNRelu{level}", torch.cat([enlarged(below), raw], 1))
            maps.append(below)
        return maps[::-1]

    def block(self, name: str, x: Tensor) -> Tensor:
        return self.conv_norm_relu(name, self.conv_norm_relu(name, x, padding=1), first=3, padding=1)

    def fuse(self, name: str, x: Tensor, sentence: Tensor) -> Tensor:
        flat = x.flatten(2)
        k = F.normalize(F.instance_norm(self.conv(f"{name}.csa.w1.0", flat)), dim=1)
        q = F.normalize(self.conv(f"{name}.csa.w2.0", sentence), dim=1)
        spatial = (k.transpose(1, 2) @ q).transpose(1, 2)
        pooled = (F.instance_norm(self.conv(f"{name}.cca.w1.0", flat)) * spatial.softmax(-1)).sum(-1, keepdim=True)
        channel = torch.sigmoid(self.conv(f"{name}.cca.mlp.2", F.relu(self.conv(f"{name}.cca.mlp.0", pooled))))
        return ((channel * flat + flat) * spatial + flat).view_as(x)


def enlarged(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


@pytest.fixture(scope="module")
def official(recipe: SimpleNamespace, shapes: Callable, original: Callable) -> Callable[[str], dict[str, Tensor]]:
    """An official state dict in float64, of the recipe's weights."""

    def build(case: str) -> dict[str, Tensor]:
        values = {name: torch.from_numpy(np.asarray(recipe.golden_tensor(original(name), shape))) for name, shape in shapes(case).items()}
        return {name: value.double() if value.is_floating_point() else value for name, value in values.items()}

    return build


def inputs(recipe: SimpleNamespace, size: int, batch: int) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(array).double() for array in recipe.golden_inputs(size, batch))


def ours(backbone: str, state: dict[str, Tensor]) -> torch.nn.Module:
    with torch.device("meta"):
        network = build_network(ModelConfig(backbone=backbone))
    network.load_state_dict({name: value.clone() for name, value in convert_official(state).items()}, assign=True)
    return network


@pytest.mark.slow
@torch.no_grad()
def test_the_formulas_written_out_give_the_official_logits(recipe: SimpleNamespace, official: Callable, shared_fixtures: Path):
    golden = np.load(shared_fixtures / "resnet50-224.npz")
    heads = Written(50, official("resnet50-224"), train=False)(*inputs(recipe, 224, 2))
    for head, logits in zip(("out", "out2", "out3", "out4", "out5", "outaspp"), heads, strict=True):
        expected = golden[f"logits.{head}"]
        assert np.abs(logits[:, :, ::8, ::8].numpy() - expected).max() <= 1e-4 * expected.std()


@pytest.mark.slow
@torch.no_grad()
def test_masks_of_resnet101_at_480_px_are_those_of_the_formulas_pixel_by_pixel(recipe: SimpleNamespace, official: Callable):
    state = official("resnet101")
    image, words, keep, sentence = inputs(recipe, 480, 1)
    expected = Written(101, state, train=False)(image, words, keep, sentence)
    logits = ours("resnet101", state).eval()(image, words.transpose(1, 2), keep.bool(), sentence)
    for found, own in zip([logits.main, *logits.auxiliary], expected, strict=True):
        assert (found - own).abs().max() <= 1e-9 * own.std()
        assert torch.equal(found.argmax(1), own.argmax(1))


def published_loss(heads: list[Tensor], target: Tensor) -> Tensor:
    """In float64, which `SegmentationLoss` is not made for."""
    weights = torch.tensor([0.9, 1.1], dtype=torch.float64)
    return torch.stack([F.cross_entropy(head, target, weights) for head in heads]).mean()


@pytest.mark.slow
def test_gradients_of_a_training_step_are_those_of_the_formulas(recipe: SimpleNamespace, official: Callable, original: Callable):
    """In train mode, so through the batch norms' own statistics."""
    state = official("resnet50-224")
    network = ours("resnet50", state).train()
    image, words, keep, sentence = inputs(recipe, 96, 2)
    target = torch.zeros(2, 96, 96, dtype=torch.int64)
    target[0, 20:60, 10:50], target[1, 40:, 30:70] = 1, 1
    logits = network(image, words.transpose(1, 2), keep.bool(), sentence)
    loss = published_loss([logits.main, *logits.auxiliary], target)
    loss.backward()

    for name, value in state.items():
        value.requires_grad_(value.is_floating_point() and "running" not in name)
    written = Written(50, state, train=True)
    expected = published_loss(written(image, words, keep, sentence), target)
    expected.backward()

    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    trunk = {original(f"backbone.{name}"): parameter.grad for name, parameter in written.trunk.named_parameters()}
    gradients = {name: trunk.get(original(name), value.grad) for name, value in state.items()}
    theirs = convert_official({name: torch.zeros_like(state[name]) if each is None else each for name, each in gradients.items()})
    compared = {name: (parameter.grad, theirs[name]) for name, parameter in network.named_parameters()}
    scale = max(gradient.abs().max() for _, gradient in compared.values())
    assert all((found - gradient).abs().max() <= 5e-12 * scale for found, gradient in compared.values())
