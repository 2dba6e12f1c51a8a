"""What counts as standard ONNX."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from cmirnet_cli.errors import ExportError
from cmirnet_cli.export.graph import foreign_operators, require_standard


def saved(folder: Path, operator: str, domain: str = "") -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], domain=domain)], "g", values[:1], values[1:])
    imports = [helper.make_opsetid("", 20), *([helper.make_opsetid(domain, 1)] if domain else [])]
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports), path)
    return path


def test_the_standard_operators_are_accepted(tmp_path: Path):
    require_standard(saved(tmp_path, "Relu"))


def test_an_operator_of_another_domain_is_refused_by_name(tmp_path: Path):
    path = saved(tmp_path, "FusedConv", "com.microsoft")
    assert foreign_operators(onnx.load(path)) == ["com.microsoft::FusedConv"]
    with pytest.raises(ExportError, match="FusedConv"):
        require_standard(path)


def test_an_operator_that_onnx_does_not_know_is_refused(tmp_path: Path):
    with pytest.raises(ExportError, match="not valid ONNX"):
        require_standard(saved(tmp_path, "Relux"))
