"""The model as what becomes one graph file each, or one `torch.export` program: all of it, or text and vision apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from cmirnet_cli.errors import UsageError
from cmirnet_cli.export.runtime import IDS, IMAGE, LOGITS, MASK, WORDS
from cmirnet_cli.export.spec import MODEL, TEXT, VISION
from cmirnet_cli.model.cmirnet import STRIDE, CMIRNet
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.vision import WindowBlock
from cmirnet_cli.weights.bundle import Bundle


class WholeModel(nn.Module):
    """Images and token ids to the logits of the finest head."""

    def __init__(self, model: ReferringModel) -> None:
        super().__init__()
        self.vision = VisionPart(model.network)
        self.text = TextPart(model)

    def forward(self, image: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Image (B, 3, H, W), ids int64 (B, T), mask int64 (B, T) to logits (B, 2, H, W)."""
        logits: Tensor = self.vision(image, self.text(input_ids, attention_mask), attention_mask)
        return logits


class TextPart(nn.Module):
    """Token ids to words."""

    def __init__(self, model: ReferringModel) -> None:
        super().__init__()
        self.encoder = model.text

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Ids and mask int64 (B, T) to words float (B, T, D)."""
        words: Tensor = self.encoder(input_ids, attention_mask.bool())
        return words


class VisionPart(nn.Module):
    """Images and words to the logits of the finest head."""

    def __init__(self, network: CMIRNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, words: Tensor, attention_mask: Tensor) -> Tensor:
        """Image (B, 3, H, W), words (B, T, D), mask int64 (B, T) to logits (B, 2, H, W)."""
        logits: Tensor = self.network(image, words, attention_mask.bool(), words[:, 0], auxiliary=False).main
        return logits


@dataclass(frozen=True)
class Part:
    """What becomes one graph.

    Attributes:
        file: name of its ONNX file.
        module: in eval mode.
        inputs: name → an example, a batch of two.
        output: its name.
    """

    file: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    output: str


def parts_of(bundle: Bundle, *, split: bool) -> list[Part]:
    """The parts of a model, whose text encoder is set to attention written out in plain operators."""
    model, size, tokens = bundle.model.eval(), bundle.config.image_size, bundle.config.tokens
    model.text.encoder.set_attn_implementation("eager")
    sentence = {IDS: torch.zeros(2, tokens, dtype=torch.int64), MASK: torch.ones(2, tokens, dtype=torch.int64)}
    image = {IMAGE: torch.zeros(2, 3, size, size)}
    if not split:
        return [Part(MODEL, WholeModel(model).eval(), image | sentence, LOGITS)]
    words = {WORDS: torch.zeros(2, tokens, bundle.config.model.text_width)}
    text = Part(TEXT, TextPart(model).eval(), sentence, WORDS)
    return [text, Part(VISION, VisionPart(model.network).eval(), image | words | {MASK: sentence[MASK]}, LOGITS)]


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
