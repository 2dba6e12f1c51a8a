"""What the processor can do is read off the names of its instructions."""

from __future__ import annotations

import pytest
import torch

from cmirnet_cli.processor import computes_in_bf16, processor_features, sums_int8_exactly


def test_its_features_agree_with_what_torch_found():
    features = processor_features()
    if not features:
        pytest.skip("this system does not tell")
    assert ("avx512f" in features) >= (torch.backends.cpu.get_cpu_capability() == "AVX512")


@pytest.mark.parametrize(
    ("processor", "able"),
    [
        ("fma avx2", False),
        ("avx2 avx512f avx512_vnni", False),
        ("avx2 avx512f avx512_bf16", True),
        ("avx512f amx_bf16 amx_int8", True),
        ("asimd fphp", False),
        ("asimd i8mm bf16", True),
        ("", True),  # macOS tells nothing
    ],
)
def test_a_processor_without_instructions_for_bf16_is_known(processor: str, able: bool):
    assert computes_in_bf16(frozenset(processor.split())) == able


@pytest.mark.parametrize(
    ("processor", "able"),
    [
        ("fma avx2", False),
        ("avx2 avx512f avx512bw", False),
        ("avx2 avx512f avx512_vnni", True),
        ("avx2 avx_vnni", True),
        ("", False),  # macOS and Windows tell nothing: the way that is right everywhere is taken
    ],
)
def test_a_processor_whose_int8_sums_cannot_overflow_is_known(processor: str, able: bool):
    assert sums_int8_exactly(frozenset(processor.split())) == able
