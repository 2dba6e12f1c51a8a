"""Parts of a network compiled by `torch.compile`, each kind of part once for every shape."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from timm.models.resnet import BasicBlock, Bottleneck
from timm.models.swin_transformer import PatchMerging
from torch import nn

from cmirnet_cli.errors import UsageError, first_line
from cmirnet_cli.model.cmirnet import CMIRNet, Network
from cmirnet_cli.model.vision import WindowBlock

REPEATED = (WindowBlock, PatchMerging, BasicBlock, Bottleneck)
"""What our backbones are made of: blocks of one stage are compiled once. One of timm's is not compiled."""
MOST_FORMS = 64
"""In which one part may be compiled (stages, shapes, training or not); PyTorch's own limit is 8, beyond which it would stop compiling."""


def compile_parts(network: Network, backend: str = "inductor") -> None:
    """Let the network's parts be compiled when they first compute; names, weights and copies of the network stay as they are.

    Whole networks take minutes to compile; the blocks of a stage differ in their weights only and share one compiled form. Shapes are
    compiled in, so another batch size is compiled anew. Random numbers are those of the plain network.

    Args:
        network: in place.
        backend: of `torch.compile`.
    """
    torch._dynamo.config.recompile_limit = max(MOST_FORMS, torch._dynamo.config.recompile_limit)
    options = {"fallback_random": True} if backend == "inductor" else None
    for part in _parts(network):
        part.compile(backend=backend, dynamic=False, options=options)


def require_compiler(device: torch.device) -> None:
    """Make sure that `torch.compile` works here, by compiling next to nothing.

    Raises:
        UsageError: it does not.
    """
    try:
        torch.compile(lambda x: 2 * x + 1, dynamic=False)(torch.zeros(1, device=device))
    except RuntimeError as problem:
        message = f"torch.compile does not work here: {first_line(problem)}"
        raise UsageError(message, hint="install a C++ compiler, or leave it out") from problem


def _parts(network: Network) -> Iterator[nn.Module]:
    if not isinstance(network, CMIRNet):
        yield network
        return
    for stage in network.stages:
        yield from (module for module in stage.modules() if isinstance(module, REPEATED))
    yield from (*network.fusions, network.context, network.context_fusion, network.graph, network.decoder)
