"""A program as an ONNX file that any runtime reads: the standard operators alone, one file."""

from __future__ import annotations

import ast
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.export import ExportedProgram

from cmirnet_cli.errors import ExportError
from cmirnet_cli.export.parts import Part

if TYPE_CHECKING:
    import onnx
    import onnx_ir

OPSET = 20
"""The first that has GELU as an operator; ONNX Runtime reads it since 1.17."""

LARGEST_FILE = 2**31 - 1
"""Bytes; what an ONNX file is written with holds no more."""

STANDARD = ("", "ai.onnx")

_SCOPES = "pkg.torch.onnx.name_scopes"


def write_graph(program: ExportedProgram, part: Part, path: Path) -> None:
    """Write the ONNX file of a program; its nodes are named after the modules that they come from.

    Raises:
        ExportError: it would be larger than an ONNX file can be.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    if size > LARGEST_FILE:
        raise ExportError(f"the weights take {size / 1e9:.2f} GB, and an ONNX file holds 2 GB", hint="add --split, or use --format torch")
    inputs, outputs = list(part.inputs), [part.output]
    with quietly():
        made = torch.onnx.export(program, (), dynamo=True, input_names=inputs, output_names=outputs, opset_version=OPSET, verbose=False)
    assert made is not None  # as long as no file is named
    _name_nodes(made.model)
    made.save(path, external_data=False)


def require_standard(path: Path) -> None:
    """Have the file checked by ONNX itself.

    Raises:
        ExportError: it is not valid, or uses operators beyond the standard ones.
    """
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{path.name} is no valid ONNX: {error}", hint="this is a bug in cmirnet; please report it") from error
    if foreign := foreign_operators(onnx.load(path)):
        raise ExportError(f"{path.name} uses operators that are not standard: {', '.join(foreign)}", hint="please report it")


def foreign_operators(model: onnx.ModelProto) -> list[str]:
    """Operators of other domains than ONNX's own, and functions that the file itself defines."""
    used = {f"{node.domain}::{node.op_type}" for node in model.graph.node if node.domain not in STANDARD}
    return sorted(used | {f"{function.domain}::{function.name}" for function in model.functions})


@contextmanager
def quietly() -> Iterator[None]:
    """Keep back what libraries say about their own insides."""
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
        node.name = f"{_scope(node.metadata_props.get(_SCOPES, '[]'))}/{node.op_type}_{number}"
        node.metadata_props.clear()
    for value in model.graph.initializers.values():
        value.metadata_props.clear()


def _scope(written: str) -> str:
    """The innermost module of a list such as "['', 'network', 'network.graph', 'conv2d_3']"."""
    scopes: list[str] = ast.literal_eval(written)
    return scopes[-2] if len(scopes) > 1 else ""
