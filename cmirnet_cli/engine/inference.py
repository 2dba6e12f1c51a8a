"""How a trained model is computed when it is not trained any more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import torch

from cmirnet_cli.errors import UsageError
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.model.compiled import require_compiler
from cmirnet_cli.model.fast.names import AUTO, COMPILE, OPTIMIZATIONS, PACKED, require_optimizations
from cmirnet_cli.model.fast.optimizations import Precision, accelerate, applicable, measured_to_help
from cmirnet_cli.model.fast.packed import pack_all
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.weights.bundle import Bundle


@dataclass(frozen=True)
class Inference:
    """Number format and optimizations.

    Attributes:
        precision: of the network's convolutions and matrix products; the text encoder always runs in fp32.
        optimizations: names of `OPTIMIZATIONS`; `auto` stands for those that were measured to help on the device.

    Raises:
        UsageError: there is no such precision or optimization, or two of them exclude each other.
    """

    precision: Precision = "fp32"
    optimizations: tuple[str, ...] = (AUTO,)

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise UsageError(f"there is no precision {self.precision!r}", hint=f"choose {' or '.join(get_args(Precision))}")
        require_optimizations(self.optimizations)
        if COMPILE in self.optimizations and PACKED in self.optimizations:
            raise UsageError(f"the optimization {PACKED!r} cannot be compiled", hint=f"leave out {PACKED} or {COMPILE}")

    def on(self, device: torch.device) -> tuple[str, ...]:
        """The optimizations that are made there."""
        named = {*self.optimizations, *(measured_to_help(device) if AUTO in self.optimizations else ())}
        return tuple(name for name in OPTIMIZATIONS if name in named and not (name == PACKED and COMPILE in named))

    def described_on(self, device: torch.device) -> dict[str, str]:
        """The same, with what each of them does."""
        return {name: OPTIMIZATIONS[name] for name in self.on(device)}

    def prepare(self, bundle: Bundle, device: torch.device) -> Bundle:
        """The model on the device, in eval mode, ready to predict; it takes over the bundle's model.

        Where nothing is optimized and nothing rounded, it is the bundle's own network. Of the optimizations that `auto` stands for,
        those are left out that do not apply to the network; `made` says which were made.

        Raises:
            UsageError: it is to be compiled, and this machine cannot; or what is named does not apply to this network.
        """
        model = bundle.model.to(device).eval()
        possible = applicable(model.network)
        optimizations = tuple(name for name in self.on(device) if name in possible)
        impossible = [name for name in self.optimizations if name not in (AUTO, *possible)]
        if impossible or (self.precision != "fp32" and not isinstance(model.network, CMIRNet)):
            what = f"the optimization {impossible[0]!r}" if impossible else f"the precision {self.precision}"
            kind = bundle.config.model.name
            hint = f"for this network on {device} there are: {', '.join(possible) or 'none, in fp32'}"
            raise UsageError(f"{what} does not apply to a network with {kind}", hint=hint)
        if COMPILE in optimizations:
            require_compiler(device)
        if isinstance(model.network, CMIRNet) and (optimizations or self.precision != "fp32"):
            if PACKED in optimizations:
                pack_all(model.text)
            network = accelerate(model.network, bundle.config.image_size, optimizations, self.precision)
            model = ReferringModel(network, model.text).eval()
        return replace(bundle, model=model)


def made(bundle: Bundle) -> tuple[str, ...]:
    """The optimizations that a prepared model is computed with."""
    return tuple(getattr(bundle.model.network, "optimizations", ()))


AS_PUBLISHED = Inference(optimizations=())
"""In fp32, nothing optimized."""
