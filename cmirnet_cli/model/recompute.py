"""Gradient checkpointing: activations are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from cmirnet_cli.errors import ConfigError
from cmirnet_cli.model.cmirnet import CMIRNet, Network


def recompute_activations(network: Network) -> None:
    """Keep only what flows between the network's parts in memory while it trains; loss, gradients and batch norm stay the same.

    Raises:
        ConfigError: the network is the user's own, whose parts are not known here.
    """
    if not isinstance(network, CMIRNet):
        raise ConfigError("loop.gradient_checkpointing is for CMIRNet", hint="leave it out, and recompute within model.network")
    for part in (*network.stages, *network.fusions, network.context, network.context_fusion, network.graph, *network.decoder.levels):
        part.forward = _Recomputed(part)


class _Recomputed:
    """A module's forward pass that forgets its activations while the module trains."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._forward = module.forward

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if not self._module.training:
            return self._forward(*inputs, **options)
        contexts = partial(_contexts, self._module)
        return checkpoint(self._forward, *inputs, use_reentrant=False, context_fn=contexts, **options)


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """What the two forward passes run in: the second leaves the batch norms' running statistics alone."""
    return nullcontext(), _without_statistics(module)


@contextmanager
def _without_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norms normalise as before, but learn and count nothing."""
    norms = [inner for inner in module.modules() if isinstance(inner, _BatchNorm)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, torch.tensor(0)
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
