"""An ONNX export behind ONNX Runtime. Nothing here imports torch.

Legend: B batch, T tokens, D text width, S image side, H × W a photo.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.errors import ExportError, UsageError, first_line
from cmirnet_cli.export.preprocessing import Floats, SentenceReader, Sentences, enlarged, normalised, referent_probability
from cmirnet_cli.export.spec import AGAIN, MODEL, TEXT, VISION, ExportSpec, read_spec, require_whole
from cmirnet_cli.images.pixels import Pixels, resized
from cmirnet_cli.processor import processor_features, sums_int8_exactly

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

IMAGE, IDS, MASK, WORDS, LOGITS = "image", "input_ids", "attention_mask", "words", "logits"
"""The names of graph inputs and outputs."""

MISSING = "pip install 'cmirnet[export]', or in a clone of the repository: pip install -e '.[export]'"

EXACT_INT8 = "session.x64quantprecision"
"""A setting of ONNX Runtime's sessions: sum int8 products in numbers that are large enough. VNNI does so anyway, and faster."""
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class ExportedModel:
    """An export ready to predict. It keeps no state, so threads may share one.

    Args:
        spec: what the export says of itself.
        sessions: graph file → its session.
        reader: the export's tokenizer.
        expressions_at_once: expressions about one photo that go through the graph at once.
        photos_at_once: photos that are prepared together; of several, as many go through with an expression each.
    """

    def __init__(
        self,
        spec: ExportSpec,
        sessions: Mapping[str, InferenceSession],
        reader: SentenceReader,
        expressions_at_once: int = 8,
        photos_at_once: int = 1,
    ) -> None:
        self.spec = spec
        self.reader = reader
        self._sessions = sessions
        self.expressions_at_once = expressions_at_once
        self.photos_at_once = photos_at_once

    @classmethod
    def open(cls, folder: Path, device: str = "auto", photos_at_once: int = 1) -> ExportedModel:
        """Load an export.

        Args:
            folder: the export.
            device: auto, cpu, cuda or cuda:N; auto takes a GPU where ONNX Runtime has one.
            photos_at_once: as for the class.

        Raises:
            ExportError: the export is damaged, holds no ONNX, or onnxruntime is missing or cannot run it there.
            UsageError: ONNX Runtime has no such device.
        """
        spec = read_spec(folder)
        if spec.format != "onnx":
            hint = "give the weights themselves, or export them with --format onnx"
            raise ExportError(f"{folder} holds the format {spec.format}; only exports to ONNX can be run", hint=hint)
        require_whole(folder, spec)
        provider, options = pick_provider(device)
        sessions = {name: open_session(folder / name, provider, options) for name in spec.files}
        return cls(spec, sessions, SentenceReader.of(folder, spec.input), photos_at_once=photos_at_once)

    @property
    def tokens(self) -> int:
        """How many tokens of an expression the graph reads, its start and end marks included."""
        return self.spec.input.tokens

    def too_long(self, expressions: Sequence[str]) -> list[str]:
        """Those expressions of which the graph reads only the beginning, as they have more than `tokens` tokens."""
        return self.reader.too_long(expressions)

    def unknown(self, expressions: Sequence[str]) -> list[str]:
        """Those expressions of which the tokenizer knows no word."""
        return self.reader.unknown(expressions)

    def encode_image(self, photos: Sequence[Pixels]) -> Sequence[Floats]:
        """Photos uint8 (H, W, 3) as the graph takes them, float32 (3, S, S); a graph cannot stop halfway, so the words come first."""
        size = self.spec.input.image_size
        return list(normalised(np.stack([resized(pixels, size, size) for pixels in photos]), self.spec.input))

    def probabilities(self, features: Sequence[Floats], expressions: Sequence[str], sizes: Sequence[tuple[int, int]]) -> Iterator[Floats]:
        """As `Predictor.probabilities`: float32 (H, W), row after row."""
        for logits, (height, width) in zip(self.logits(np.stack(features), self.reader.read(expressions)), sizes, strict=False):
            yield referent_probability(enlarged(logits, height, width))

    def logits(self, image: Floats, sentences: Sentences) -> Floats:
        """Images float32 (B, 3, H, W), normalised, and a sentence for each, to logits float32 (B, 2, H, W)."""
        return self.decode(image, self.read(sentences), sentences.mask)

    def read(self, sentences: Sentences) -> NDArray[Any]:
        """What `decode` takes of sentences: their words float32 (B, T, D), or their ids where text is part of the one graph."""
        if not self.spec.split:
            return sentences.ids
        return self._run(TEXT, {IDS: sentences.ids, MASK: sentences.mask})

    def decode(self, image: Floats, words: NDArray[Any], mask: NDArray[np.int64]) -> Floats:
        """Images float32 (B, 3, H, W), what `read` gave and the mask (B, T) to logits float32 (B, 2, H, W)."""
        graph, name = (VISION, WORDS) if self.spec.split else (MODEL, IDS)
        return self._run(graph, {IMAGE: image, name: words, MASK: mask})

    def _run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> Floats:
        try:
            (output,) = self._sessions[graph].run(None, dict(inputs))
        except _refusals() as error:
            if "allocate memory" in str(error):
                raise MemoryError(first_line(error)) from error
            raise ExportError(f"ONNX Runtime cannot run {graph}: {first_line(error)}", hint=AGAIN) from error
        made: Floats = output
        return made


def pick_provider(device: str) -> tuple[str, dict[str, str]]:
    """ONNX Runtime's name for a device, and its options.

    Raises:
        ExportError: onnxruntime is not installed.
        UsageError: it has no such device.
    """
    present = runtime().get_available_providers()
    if device == "cpu" or (device == "auto" and CUDA not in present):
        return CPU, {}
    if CUDA in present and (cuda := re.fullmatch(r"auto|cuda(?::(\d+))?", device)):
        return CUDA, {"device_id": cuda[1] or "0"}
    hint = "use --device cpu; the package onnxruntime-gpu, in place of onnxruntime, runs on CUDA"
    raise UsageError(f"ONNX Runtime has no device {device!r} here, it has {', '.join(present)}", hint=hint)


def open_session(path: Path, provider: str, options: Mapping[str, str] | None = None) -> InferenceSession:
    """A graph file on the named execution provider and no other (but for what ONNX Runtime itself gives to the CPU).

    Raises:
        ExportError: the graph cannot be loaded, or the provider does not take it.
    """
    ort = runtime()
    settings = ort.SessionOptions()
    settings.add_session_config_entry(EXACT_INT8, "0" if sums_int8_exactly(processor_features()) else "1")
    try:
        session: InferenceSession = ort.InferenceSession(path, settings, providers=[(provider, dict(options or {}))])
    except _refusals() as error:
        raise ExportError(f"ONNX Runtime cannot load {path}: {first_line(error)}", hint=AGAIN) from error
    if session.get_providers()[0] != provider:
        raise ExportError(f"ONNX Runtime runs {path} on {session.get_providers()[0]} instead of {provider}", hint="use --device cpu")
    return session


def runtime() -> Any:
    """The module onnxruntime.

    Raises:
        ExportError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ExportError(f"running an export needs onnxruntime: {error}", hint=MISSING) from error
    onnxruntime.set_default_logger_severity(4)  # its errors are raised as well
    return onnxruntime


def _refusals() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
    return (ValueError, *(getattr(state, name) for name in names))
