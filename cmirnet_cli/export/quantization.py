"""An ONNX file of fp32 in less: fp16, or int8 with the ranges that samples show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.export.graph import Part, quietly
from cmirnet_cli.export.preprocessing import ExportSample, SentenceReader, normalised
from cmirnet_cli.export.runtime import CPU, IDS, IMAGE, MASK, WORDS, open_session
from cmirnet_cli.export.spec import TEXT, Input
from cmirnet_cli.images.pixels import resized

Feed = Mapping[str, NDArray[Any]]
"""Graph input → its values."""

HALF_KEEPS = ("InstanceNormalization", "LayerNormalization", "ReduceL2", "Resize", "Softmax", "TopK")
"""Operators that stay in fp32: they sum over many positions, or decide between neighbours."""

WHOLE_NUMBERS = ("Conv", "MatMul", "Gemm")
"""Operators that int8 is for: nearly all of the arithmetic."""


def to_fp16(path: Path) -> None:
    """Rewrite an ONNX file so that weights and arithmetic are fp16; its inputs and outputs stay fp32."""
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    with quietly():
        kept = [*DEFAULT_OP_BLOCK_LIST, *HALF_KEEPS]
        made = OnnxModel(convert_float_to_float16(onnx.load(path), keep_io_types=True, op_block_list=kept))
        made.topological_sort()  # the casts were put at the end
        del made.model.graph.value_info[:]  # some types that it gives are those of fp32 still
        onnx.save(made.model, path)


def to_int8(path: Path, feeds: Iterable[Feed]) -> None:
    """Rewrite an ONNX file so that convolutions and matrix products are int8, each channel of a weight with a scale of its own.

    Args:
        path: the file.
        feeds: typical inputs, of which the ranges of activations are taken.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    made = path.with_suffix(".int8")
    with quietly():
        quantize_static(
            path,
            made,
            _Reader(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(WHOLE_NUMBERS),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    made.replace(path)


class _Reader:
    """Inputs one by one, as the library asks for them."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        feed = next(self._feeds, None)
        return None if feed is None else {name: np.ascontiguousarray(values) for name, values in feed.items()}


def calibrate(folder: Path, parts: Sequence[Part], prepared: Input, samples: Sequence[ExportSample]) -> None:
    """Rewrite the fp32 graphs of an export in int8; that of the text goes last, as vision is calibrated with its words."""
    for part in reversed(parts):
        to_int8(folder / part.file, feeds(folder, part, prepared, samples))


def feeds(folder: Path, part: Part, prepared: Input, samples: Sequence[ExportSample]) -> Iterator[Feed]:
    """What a graph takes of one sample after the other."""
    reader = SentenceReader.of(folder, prepared)
    text = open_session(folder / TEXT, CPU) if WORDS in part.inputs else None
    for sample in samples:
        sentence = reader.read([sample.sentence])
        image = resized(sample.pixels, prepared.image_size, prepared.image_size)
        known: Feed = {IMAGE: normalised(image[None], prepared), IDS: sentence.ids, MASK: sentence.mask}
        if text is not None:
            known = {**known, WORDS: text.run([WORDS], {IDS: sentence.ids, MASK: sentence.mask})[0]}
        yield {name: known[name] for name in part.inputs}
