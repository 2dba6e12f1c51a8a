"""Which parts of a network are computed in another way, and where that pays."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from cmirnet_cli.model.cmirnet import STRIDE, CMIRNet
from cmirnet_cli.model.compiled import compile_parts
from cmirnet_cli.model.decoder import DoubleConv
from cmirnet_cli.model.fast.convolutions import by_taps, fold_batch_norms
from cmirnet_cli.model.fast.names import COMPILE, INSIDE_THE_BACKBONE, OPTIMIZATIONS, PACKED
from cmirnet_cli.model.fast.packed import can_pack, pack_all
from cmirnet_cli.model.fast.windows import GatheringBlock
from cmirnet_cli.model.fast.winograd import JoiningDoubleConv, WinogradConv, replaceable
from cmirnet_cli.model.features import ImageFeatures, Logits
from cmirnet_cli.model.timm_backbone import TimmStage, Trunk
from cmirnet_cli.model.vision import WindowBlock

Precision: TypeAlias = Literal["fp32", "bf16"]
"""Number format of the network's convolutions and matrix products."""

SMALLEST_SIDE = 60
"""Of a map on which Winograd's way is taken: below, it saves little time."""
FEWEST_CHANNELS = 128
"""In and out, at least: with fewer, the transforms cost more than the products save."""


class FastNetwork(CMIRNet):
    """A trained network for prediction only: the same up to rounding.

    Args:
        network: optimized, in eval mode; its parts are taken over.
        optimizations: those that were made.
        precision: of its convolutions and matrix products.
        channels_last: whether maps are laid out with their channels together.
    """

    def __init__(self, network: CMIRNet, optimizations: tuple[str, ...], precision: Precision) -> None:
        fusions = [None] * network.wordless + [*network.fusions]
        last = network.context, network.context_fusion, network.graph, network.decoder
        super().__init__([*network.stages], fusions, *last, [*network.heads], beside=network.beside)
        self.optimizations, self.precision = optimizations, precision
        self.layout = torch.channels_last if "channels-last" in optimizations else torch.contiguous_format

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """As `CMIRNet.encode_image`."""
        with self._computing(image.device):
            return super().encode_image(image.contiguous(memory_format=self.layout))

    def decode(self, features: ImageFeatures, words: Tensor, keep: Tensor, sentence: Tensor, *, auxiliary: bool = True) -> Logits:
        """As `CMIRNet.decode`; logits are fp32."""
        with self._computing(words.device):
            logits = super().decode(features, words, keep, sentence, auxiliary=auxiliary)
        return Logits(logits.main.float(), [each.float() for each in logits.auxiliary])

    def _computing(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")


def measured_to_help(device: torch.device) -> tuple[str, ...]:
    """The optimizations that `auto` stands for: on a CPU all but compiling, elsewhere none, as nobody has timed them there."""
    return tuple(name for name in possible_on(device) if name != COMPILE) if device.type == "cpu" else ()


def possible_on(device: torch.device) -> tuple[str, ...]:
    """The optimizations that a device can compute with: packed weights are oneDNN's."""
    return tuple(name for name in OPTIMIZATIONS if name != PACKED or can_pack(device))


def applicable(network: nn.Module) -> tuple[str, ...]:
    """The optimizations that a network can have on its device: a published one all, one with a backbone of timm's most, others none."""
    if not isinstance(network, CMIRNet):
        return ()
    possible = possible_on(next(network.parameters()).device)
    return tuple(name for name in possible if not (_has_foreign_backbone(network) and name == INSIDE_THE_BACKBONE))


def accelerate(network: CMIRNet, size: int, optimizations: Collection[str], precision: Precision = "fp32") -> FastNetwork:
    """Turn a network into a form that computes faster, for images of `size` × `size`. A backbone of timm's stays as it is inside.

    Args:
        network: trained, in eval mode; it is taken over, tensors and all, and is of no other use afterwards.
        size: of the images, in pixels; other sizes work too, but this one decides which convolutions are replaced.
        optimizations: names of `OPTIMIZATIONS`; those that are not `applicable` are left out.
        precision: fp32 or bf16.
    """
    made = tuple(name for name in applicable(network) if name in optimizations)
    if "batch-norm" in made:
        for part in _own_parts(network):
            fold_batch_norms(part)
    if "heads" in made:
        network.heads = nn.ModuleList([by_taps(cast("nn.Conv2d", head)) for head in network.heads])
    if "windows" in made:
        _replace(network, lambda module: type(module) is WindowBlock, GatheringBlock)
    if "winograd" in made:
        _by_winograd(network, size, torch.bfloat16 if precision == "bf16" else torch.float32)
    for part in _own_parts(network):
        if precision == "bf16":
            _halve(part)
        if PACKED in made:
            pack_all(part)
    fast = FastNetwork(network.eval(), made, precision)
    if COMPILE in made:
        compile_parts(fast)
    return fast


def _by_winograd(network: CMIRNet, size: int, products: torch.dtype) -> None:
    for level in _large_levels(network, size):
        _replace(level, _worthwhile, lambda convolution: WinogradConv(convolution, products))
        _replace(level, _starts_with_winograd, JoiningDoubleConv)


def _own_parts(network: CMIRNet) -> list[nn.Module]:
    """Those whose insides are known here: all, or all around a backbone of timm's."""
    around = [network.fusions, network.context, network.context_fusion, network.graph, network.decoder, network.heads]
    return around if _has_foreign_backbone(network) else [network]


def _has_foreign_backbone(network: CMIRNet) -> bool:
    return any(isinstance(stage, TimmStage | Trunk) for stage in network.stages)


def _replace(network: nn.Module, fits: Callable[[nn.Module], bool], make: Callable[..., nn.Module]) -> None:
    for parent in network.modules():
        for name, module in parent.named_children():
            if fits(module):
                setattr(parent, name, make(module))


def _large_levels(network: CMIRNet, size: int) -> list[nn.Module]:
    """The decoder's levels whose maps are large enough for Winograd's way; each has half the stride of the one before."""
    levels = list(network.decoder.levels)
    finest = STRIDE >> (len(levels) - 2)  # the two coarsest share a grid
    return [level for step, level in enumerate(levels[::-1]) if size // min(finest << step, STRIDE) >= SMALLEST_SIDE]


def _starts_with_winograd(module: nn.Module) -> bool:
    return isinstance(module, DoubleConv) and isinstance(module[0], WinogradConv)


def _worthwhile(module: nn.Module) -> bool:
    return replaceable(module) and min(module.in_channels, module.out_channels) >= FEWEST_CHANNELS


def _halve(network: nn.Module) -> None:
    """Keep the weights of convolutions and matrix products in bf16."""
    for module in network.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(parameter.detach().bfloat16()))
