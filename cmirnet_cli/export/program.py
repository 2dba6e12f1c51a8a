"""A part of the model as a `torch.export` program."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from cmirnet_cli.errors import UsageError
from cmirnet_cli.export.parts import Part
from cmirnet_cli.export.runtime import IMAGE
from cmirnet_cli.model.cmirnet import STRIDE
from cmirnet_cli.model.vision import WindowBlock

PROGRAM_FILE = "model.pt2"

LARGEST_BATCH, LARGEST_SIDE = 1024, 128 * STRIDE


def trace(part: Part, *, dynamic_size: bool) -> ExportedProgram:
    """Record what a part computes; its batch is free, with `dynamic_size` also the image's sides, which are multiples of 32 from 64 on.

    Raises:
        UsageError: the sides are to be free, and the backbone is a Swin, whose windows a recorded program has for one size only.
    """
    if dynamic_size and any(isinstance(module, WindowBlock) for module in part.module.modules()):
        hint = "leave --dynamic-size out, or export a model with a ResNet"
        raise UsageError("the windows of a Swin backbone are recorded for one image size", hint=hint)
    with torch.no_grad():
        return torch.export.export(part.module, tuple(part.inputs.values()), dynamic_shapes=_shapes(part, dynamic_size), strict=False)


def _shapes(part: Part, dynamic_size: bool) -> tuple[dict[int, Any], ...]:
    batch = Dim("batch", min=1, max=LARGEST_BATCH)
    sides = {axis: STRIDE * Dim(name, min=2, max=LARGEST_SIDE // STRIDE) for axis, name in ((2, "rows"), (3, "columns"))}
    return tuple({0: batch} | (sides if dynamic_size and name == IMAGE else {}) for name in part.inputs)
