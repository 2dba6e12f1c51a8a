"""Other programs that run an ONNX export, timed beside ours: ONNX Runtime, and OpenVINO where it is installed (only for measuring)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from cmirnet_cli.errors import UsageError
from cmirnet_cli.export.preprocessing import SentenceReader
from cmirnet_cli.export.runtime import ExportedModel
from cmirnet_cli.export.spec import read_spec, require_whole

Peer: TypeAlias = Literal["onnxruntime", "openvino"]
TITLES: Mapping[str, str] = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


@dataclass(frozen=True)
class Export:
    """An export on the CPU that takes part.

    Attributes:
        name: as the table has it.
        folder: of the export.
        peer: what runs it.
        rounded: whether an fp32 graph is computed in bf16, which OpenVINO can.
    """

    name: str
    folder: Path
    peer: Peer = "onnxruntime"
    rounded: bool = False

    def open(self) -> ExportedModel:
        """Ready to predict."""
        if self.peer == "onnxruntime":
            return ExportedModel.open(self.folder, "cpu")
        spec = read_spec(self.folder)
        require_whole(self.folder, spec)
        sessions = {name: OpenVinoSession(self.folder / name, rounded=self.rounded) for name in spec.files}
        return ExportedModel(spec, cast(Any, sessions), SentenceReader.of(self.folder, spec.input))


def peers_named(text: str | None) -> tuple[Peer, ...]:
    """Names with commas between them, as typed.

    Raises:
        UsageError: one is not known, or not installed.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(","))) if text else ()
    for name in names:
        if name not in TITLES:
            raise UsageError(f"there is no peer {name!r}", hint=f"choose among {', '.join(get_args(Peer))}")
        if find_spec(name) is None:
            raise UsageError(f"--peer {name}: it is not installed", hint=f"pip install {name}")
    return cast("tuple[Peer, ...]", names)


def runs_of(folder: Path, precision: str, peers: Sequence[Peer], *, bf16: bool) -> list[Export]:
    """How peers run one export, each at its best: as it is, and of fp32 OpenVINO also makes bf16 where the processor has that."""
    runs = [Export(f"{TITLES[peer]} {precision}", folder, peer) for peer in peers]
    if bf16 and precision == "fp32" and "openvino" in peers:
        runs.append(Export(f"{TITLES['openvino']} bf16", folder, "openvino", rounded=True))
    return runs


class OpenVinoSession:
    """A graph in OpenVINO, with the one method of ONNX Runtime's sessions that an `ExportedModel` calls.

    Args:
        path: of the ONNX file.
        rounded: whether it is computed in bf16; else in the file's own number formats.
    """

    def __init__(self, path: Path, *, rounded: bool) -> None:
        import openvino  # type: ignore[import-untyped, import-not-found, unused-ignore]

        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16" if rounded else "f32"}
        self._graph = openvino.Core().compile_model(str(path), "CPU", settings)

    def run(self, names: None, inputs: Mapping[str, Any]) -> list[Any]:
        """The outputs, all of them."""
        found = self._graph(dict(inputs))
        return [found[output] for output in self._graph.outputs]
