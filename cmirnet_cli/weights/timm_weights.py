"""The weights that one of timm's models comes with, in the stages of a network that has it as its backbone."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import timm
from torch import Tensor, nn

from cmirnet_cli.errors import WeightsError, first_line, listed
from cmirnet_cli.hub import Remote, if_it_answers, require_fetchable
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.model.timm_backbone import pretrained_cfg, require_timm_model
from cmirnet_cli.weights.check import BACKBONE_OPTION
from cmirnet_cli.weights.folder import UNREADABLE

_OURS = re.compile(r"^\d+\.(parts|features)\.(model\.)?")
"""What the names of a backbone's entries begin with among the stages."""
_MADE_HERE = re.compile(r"^\d+\.pyramid\.")
"""The pyramid on top of a plain transformer, which is trained from the start."""


@dataclass(frozen=True)
class BackboneReport:
    """What became of a classifier's entries, by their own names; `missing` are counters of batches, which then start at 0.

    `place` says where in the file they lay, if it was not the file itself that held them.
    """

    used: tuple[str, ...]
    ignored: tuple[str, ...]
    missing: tuple[str, ...]
    place: str = ""


def pretrained(backbone: str, image_size: int) -> Mapping[str, Tensor]:
    """The state dict of timm's whole model with the weights that its name stands for, fetched unless there is a local copy.

    Raises:
        WeightsError: there are none, or they cannot be fetched.
    """
    name = require_timm_model(backbone)
    if not pretrained_cfg(name).has_weights:
        raise WeightsError(f"timm has no weights for {backbone}", hint="train from scratch with --backbone-weights none")
    if source := pretrained_cfg(name).hf_hub_id:
        require_fetchable(Remote(str(source), f"timm's weights of {name}", BACKBONE_OPTION))
    try:
        with if_it_answers():
            return _whole_model(name, image_size, pretrained=True).state_dict()
    except UNREADABLE as error:
        raise WeightsError(
            f"timm's weights of {name} cannot be fetched: {first_line(error)}",
            hint="run once where the hub can be reached, give a file with --backbone-weights FILE, or start from scratch with "
            "--backbone-weights none",
        ) from error


def from_file(backbone: str, image_size: int, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The state dict of timm's whole model with the entries of a file, brought to the image size as timm does it.

    Raises:
        WeightsError: an entry of the backbone is missing or of another shape.
    """
    model = _whole_model(require_timm_model(backbone), image_size, pretrained=False)
    adapt = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    try:
        fitted = dict(state) if adapt is None else adapt(dict(state), model)
        ours = {name: value for name, value in fitted.items() if not name.startswith(_classifiers(model))}
        missing = model.load_state_dict(ours, strict=False).missing_keys
    except UNREADABLE as error:
        reason = textwrap.shorten(str(error), 240)
        raise WeightsError(f"the backbone's weights do not fit {backbone}: {reason}", hint="they must be of one backbone") from error
    return {name: value for name, value in model.state_dict().items() if name not in missing}


def holds_part_of(network: CMIRNet) -> Callable[[str], bool]:
    """Whether a name is that of an entry of the network's backbone, as timm calls it."""
    known = {_plain(_OURS.sub("", name)) for name in network.stages.state_dict()}
    return lambda name: _plain(name) in known


def load_timm(network: CMIRNet, backbone: str, state: Mapping[str, Tensor]) -> BackboneReport:
    """Load the state dict of timm's whole model into the stages of a network, strictly.

    Raises:
        WeightsError: an entry of the backbone is missing or of another shape.
    """
    by_name = {_plain(name): name for name in state}
    theirs = {ours: by_name.get(_plain(_OURS.sub("", ours))) for ours in network.stages.state_dict() if not _MADE_HERE.match(ours)}
    missing = sorted(ours for ours, name in theirs.items() if name is None)
    if lacking := [name for name in missing if not name.endswith("num_batches_tracked")]:
        names = listed([_OURS.sub("", name) for name in lacking])
        raise WeightsError(f"the backbone's weights do not fit {backbone}: they lack {names}", hint="they must be of one backbone")
    found = {ours: state[name] for ours, name in theirs.items() if name is not None}
    try:
        network.stages.load_state_dict(found, strict=False)
    except RuntimeError as error:
        reason = textwrap.shorten(str(error), 240)
        raise WeightsError(f"the backbone's weights do not fit {backbone}: {reason}", hint="they must be of one backbone") from error
    used = {name for name in theirs.values() if name is not None}
    return BackboneReport(tuple(sorted(used)), tuple(sorted(state.keys() - used)), tuple(missing))


def _whole_model(name: str, image_size: int, *, pretrained: bool) -> nn.Module:
    """timm's model with its classifier, built for images of that size where it is built for a size."""
    fixed: dict[str, Any] = {"img_size": image_size} if pretrained_cfg(name).fixed_input_size else {}
    model: nn.Module = timm.create_model(name, pretrained=pretrained, **fixed)
    return model


def _classifiers(model: nn.Module) -> tuple[str, ...]:
    named = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    return tuple(f"{each}." for each in ([named] if isinstance(named, str) else named))


def _plain(name: str) -> str:
    """A name without the difference between a module in a list and a list of modules: `stages.0` is `stages_0`."""
    return name.replace(".", "_")
