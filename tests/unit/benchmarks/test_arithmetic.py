"""Arithmetic is counted as by hand."""

from __future__ import annotations

import torch
from torch import nn

from cmirnet_cli.benchmarks.timing import gflops_of, matrix_product_gflops
from cmirnet_cli.engine.devices import has_bf16


def test_a_convolution_and_a_product_are_counted_as_by_hand():
    convolution, image = nn.Conv2d(3, 8, 3, padding=1), torch.randn(2, 3, 10, 12)
    assert gflops_of(lambda: convolution(image)) == 2 * (3 * 9) * 8 * (2 * 10 * 12) / 1e9
    assert gflops_of(lambda: torch.randn(5, 7) @ torch.randn(7, 11)) == 2 * 5 * 7 * 11 / 1e9


def test_a_processor_multiplies_in_the_formats_that_it_has():
    assert list(matrix_product_gflops(torch.device("cpu"))) == (["fp32", "bf16"] if has_bf16(torch.device("cpu")) else ["fp32"])
