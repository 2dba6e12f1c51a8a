"""Graphs are run as they were meant, on any processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cmirnet_cli.export.runtime import CPU, EXACT_INT8, open_session
from cmirnet_cli.processor import processor_features

onnx = pytest.importorskip("onnx")
WIDTH = 64


@pytest.fixture
def quantised(tmp_path: Path) -> Path:
    """A graph that multiplies x (1, 64) of whole numbers up to 255 by 64 × 64 weights of 127, in int8, as `quantize_static` writes it."""
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "one": np.float32(1),
        "zero": np.uint8(0),
        "middle": np.int8(0),
        "scale": np.float32(WIDTH * 127),
        "weights": np.full((WIDTH, WIDTH), 127, np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["x8"]),
        helper.make_node("DequantizeLinear", ["x8", "one", "zero"], ["x32"]),
        helper.make_node("DequantizeLinear", ["weights", "one", "middle"], ["w32"]),
        helper.make_node("MatMul", ["x32", "w32"], ["product"]),
        helper.make_node("QuantizeLinear", ["product", "scale", "zero"], ["y8"]),
        helper.make_node("DequantizeLinear", ["y8", "scale", "zero"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, WIDTH]) for name in "xy"]
    initial = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "product", ends[:1], ends[1:], initial)
    path = tmp_path / "product.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_int8_sums_do_not_saturate_on_processors_without_vnni(quantised: Path):
    """There pairs of products are summed in 16 bits unless ONNX Runtime is told otherwise: 2 · 255 · 127 is more than those hold."""
    (found,) = open_session(quantised, CPU).run(None, {"x": np.full((1, WIDTH), 255, np.float32)})
    np.testing.assert_array_equal(found, np.full((1, WIDTH), 255.0 * WIDTH * 127, np.float32))


def test_slower_sums_are_asked_for_only_where_others_may_overflow(quantised: Path):
    """PyTorch finds out by itself whether the processor has VNNI; where it has none, or the system does not tell, sums must be exact."""
    asked = open_session(quantised, CPU).get_session_options().get_session_config_entry(EXACT_INT8)
    if not processor_features():
        assert asked == "1"
    elif torch.cpu._is_vnni_supported():
        assert asked == "0"
    elif "avx_vnni" not in processor_features():  # which PyTorch does not look for
        assert asked == "1"
