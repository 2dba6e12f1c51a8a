"""The model as graphs: all of it or text and vision apart, recorded as programs, written as ONNX that any runtime reads.

Legend: B batch, T tokens, D text width, H × W the image.
"""

from __future__ import annotations

import ast
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from cmirnet_cli.errors import ExportError, UsageError, first_line
from cmirnet_cli.export.runtime import IDS, IMAGE, LOGITS, MASK, WORDS
from cmirnet_cli.export.spec import MODEL, TEXT, VISION
from cmirnet_cli.model.cmirnet import STRIDE
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import sentence_of
from cmirnet_cli.model.timm_backbone import TimmStage, Trunk, write_attention_out
from cmirnet_cli.model.vision import WindowBlock
from cmirnet_cli.weights.bundle import Bundle

if TYPE_CHECKING:
    import onnx
    import onnx_ir

OPSET = 20
"""The first that has GELU as an operator; ONNX Runtime reads it since 1.17."""

LARGEST_FILE = 2**31 - 1
"""Bytes; what an ONNX file is written with holds no more."""

STANDARD = ("", "ai.onnx")

PROGRAM_FILE = "model.pt2"

OTHERWISE = "use --format safetensors, or other operators in a network of your own; leave out --dynamic-size if you used it"

LARGEST_BATCH, LARGEST_SIDE = 1024, 128 * STRIDE

_SCOPES = "pkg.torch.onnx.name_scopes"


class WholeModel(nn.Module):
    """Images and token ids to the logits of the finest head."""

    def __init__(self, model: ReferringModel) -> None:
        super().__init__()
        self.vision = VisionPart(model)
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

    def __init__(self, model: ReferringModel) -> None:
        super().__init__()
        self.network, self.sentence = model.network, model.text.sentence

    def forward(self, image: Tensor, words: Tensor, attention_mask: Tensor) -> Tensor:
        """Image (B, 3, H, W), words (B, T, D), mask int64 (B, T) to logits (B, 2, H, W)."""
        keep = attention_mask.bool()
        logits: Tensor = self.network(image, words, keep, sentence_of(words, keep, self.sentence), auxiliary=False).main
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
    """The parts of a model, whose text encoder and timm backbone are set to attention written out in plain operators."""
    model, size, tokens = bundle.model.eval(), bundle.config.image_size, bundle.config.tokens
    model.text.encoder.set_attn_implementation("eager")
    for stage in model.network.modules():
        if isinstance(stage, TimmStage | Trunk):
            write_attention_out(stage)
    sentence = {IDS: torch.zeros(2, tokens, dtype=torch.int64), MASK: torch.ones(2, tokens, dtype=torch.int64)}
    image = {IMAGE: torch.zeros(2, 3, size, size)}
    if not split:
        return [Part(MODEL, WholeModel(model).eval(), image | sentence, LOGITS)]
    words = {WORDS: torch.zeros(2, tokens, bundle.config.model.text_width)}
    text = Part(TEXT, TextPart(model).eval(), sentence, WORDS)
    return [text, Part(VISION, VisionPart(model).eval(), image | words | {MASK: sentence[MASK]}, LOGITS)]


def trace(part: Part, *, dynamic_size: bool) -> ExportedProgram:
    """Record what a part computes; its batch is free, with `dynamic_size` also the image's sides, which are multiples of 32 from 64 on.

    Raises:
        ExportError: it cannot be recorded.
        UsageError: the sides are to be free, and the backbone is a Swin, whose windows a recorded program has for one size only.
    """
    if dynamic_size and any(isinstance(module, WindowBlock) for module in part.module.modules()):
        hint = "leave --dynamic-size out, or export a model with a ResNet"
        raise UsageError("the windows of a Swin backbone are recorded for one image size", hint=hint)
    batch = {0: Dim("batch", min=1, max=LARGEST_BATCH)}
    sides = {axis: STRIDE * Dim(name, min=2, max=LARGEST_SIDE // STRIDE) for axis, name in ((2, "rows"), (3, "columns"))}
    shapes: tuple[dict[int, Any], ...] = tuple(batch | (sides if dynamic_size and name == IMAGE else {}) for name in part.inputs)
    try:
        with torch.no_grad():
            return torch.export.export(part.module, tuple(part.inputs.values()), dynamic_shapes=shapes, strict=False)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ExportError(f"the network cannot be recorded as a program: {first_line(error)}", hint=OTHERWISE) from error


def write_graph(program: ExportedProgram, part: Part, path: Path) -> None:
    """Write the ONNX file of a program; its nodes are named after the modules that they come from.

    Raises:
        ExportError: it would be larger than an ONNX file can be, or uses what ONNX does not have.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    if size > LARGEST_FILE:
        raise ExportError(f"the weights take {size / 1e9:.2f} GB, and an ONNX file holds 2 GB", hint="add --split, or use --format torch")
    inputs, outputs = list(part.inputs), [part.output]
    with quietly():
        options: dict[str, Any] = {"input_names": inputs, "output_names": outputs, "opset_version": OPSET, "verbose": False}
        try:
            made = torch.onnx.export(program, (), dynamo=True, **options)
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(f"{part.file} cannot be written in ONNX's operators: {_first_cause(error)}", hint=OTHERWISE) from error
    assert made is not None  # as long as no file is named
    _name_nodes(made.model)
    made.save(path, external_data=False)


def _first_cause(error: BaseException) -> str:
    """The first line of what went wrong first."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def require_standard(path: Path) -> None:
    """Have the file checked by ONNX itself.

    Raises:
        ExportError: it is not valid, or uses operators beyond the standard ones.
    """
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{path.name} is not valid ONNX: {error}", hint="this is a bug in cmirnet; please report it") from error
    if foreign := foreign_operators(onnx.load(path)):
        raise ExportError(f"{path.name} uses operators that are not standard: {', '.join(foreign)}", hint="please report it")


def foreign_operators(model: onnx.ModelProto) -> list[str]:
    """Operators of other domains than ONNX's own, and functions that the file itself defines."""
    used = {f"{node.domain}::{node.op_type}" for node in model.graph.node if node.domain not in STANDARD}
    return sorted(used | {f"{function.domain}::{function.name}" for function in model.functions})


@contextmanager
def quietly() -> Iterator[None]:
    """Silence what libraries log about their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _name_nodes(model: onnx_ir.Model) -> None:
    """Name nodes such as `network.decoder.levels.0/Conv_12`, and forget where on this machine their code lies."""
    for number, node in enumerate(model.graph):
        scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))  # such as ['', 'network', 'network.graph', 'conv2d_3']
        node.name = f"{scopes[-2] if len(scopes) > 1 else ''}/{node.op_type}_{number}"
        node.metadata_props.clear()
    for value in model.graph.initializers.values():
        value.metadata_props.clear()
