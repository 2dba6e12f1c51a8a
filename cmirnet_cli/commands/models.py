"""WEIGHTS as commands take them: weights that torch runs, or an export that ONNX Runtime runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError, WeightsError

if TYPE_CHECKING:
    import torch

    from cmirnet_cli.engine.evaluation.run import EvaluatedModel
    from cmirnet_cli.engine.inference import Inference
    from cmirnet_cli.engine.prediction.predictor import Predictor
    from cmirnet_cli.engine.prediction.vocabulary import ReadsExpressions
    from cmirnet_cli.engine.processes import Process
    from cmirnet_cli.options import Precision


@dataclass(frozen=True)
class ModelOptions:
    """Which weights, and how they are computed, as typed.

    Attributes:
        weights: as `weights_folder` takes them, or an export.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: of the network.
        optimizations: auto, none, or names with commas between them.
        batch_size: how many images (`predict`) or sentences (`eval`) go through together.
        tokenizer: of an official checkpoint; a folder or a hub id.
    """

    weights: str
    device: str
    precision: Precision
    optimizations: str
    batch_size: int
    tokenizer: str | None = None


def named_model(options: ModelOptions) -> TorchModel | OnnxModel:
    """The kind of model that the weights are. Nothing is loaded yet.

    Raises:
        ExportError: it is a damaged export.
        UsageError: it is an export, and is to be computed otherwise than it was exported.
    """
    folder = exported_folder(options.weights)
    if folder is None:
        return TorchModel(options)
    if (options.precision, options.optimizations) != ("fp32", "auto"):
        raise UsageError(
            f"--precision and --optimizations are for weights, and {options.weights} is an export, whose arithmetic is fixed",
            hint="leave them out, or export the weights again with --precision fp16 or int8",
        )
    return OnnxModel(options, folder)


@dataclass(frozen=True)
class KnownModel:
    """What is known of a model before it is loaded.

    Attributes:
        dataset: what it was trained on, as `<dataset>-<split_by>`; empty where that is not known.
        image_size: side of the network's input, in pixels; None where that is not known.
    """

    dataset: str = ""
    image_size: int | None = None


@dataclass(frozen=True)
class TorchModel:
    """Weights that torch runs."""

    options: ModelOptions

    @cached_property
    def folder(self) -> Path:
        """The weights folder; an official checkpoint is converted first."""
        from cmirnet_cli.weights.source import weights_folder

        return weights_folder(self.options.weights, self.options.tokenizer, console.notice)

    def check(self) -> KnownModel:
        """Refuse what cannot be loaded, before torch is.

        Raises:
            WeightsError: nothing is there, or it is damaged.
            UsageError: there is no such optimization.
        """
        from cmirnet_cli.config.published import IMAGE_SIZE
        from cmirnet_cli.model.fast.names import optimizations_named
        from cmirnet_cli.weights.check import check_named, hub_name

        weights = self.options.weights
        optimizations_named(self.options.optimizations)
        if config := check_named(weights, self.options.tokenizer):
            return KnownModel(config.dataset, config.image_size)
        return KnownModel(image_size=None if hub_name(weights) else IMAGE_SIZE)

    def identity(self) -> dict[str, object]:
        """What masks depend on: the digest of the weights and the number format."""
        from cmirnet_cli.weights.source import fingerprint

        return {"weights": fingerprint(self.folder), "precision": self.options.precision}

    def predictor(self, process: Process) -> Predictor[Any]:
        """Load them onto this process's device."""
        from cmirnet_cli.engine.prediction.segmenter import Segmenter
        from cmirnet_cli.engine.threads import use_own_cores
        from cmirnet_cli.weights.source import load_weights

        use_own_cores()
        inference, device = self._inference(), process.device(self.options.device)
        warn_if_slow(self.options.precision, device)
        bundle = inference.prepare(load_weights(self.folder), device)
        return Segmenter(bundle, device, photos_at_once=self.options.batch_size)

    def vocabulary(self) -> ReadsExpressions:
        """What reads expressions, without the network; loads as much as `check` leaves to see."""
        from cmirnet_cli.engine.prediction.vocabulary import Vocabulary
        from cmirnet_cli.weights.encoder import load_tokenizer
        from cmirnet_cli.weights.folder import DAMAGED
        from cmirnet_cli.weights.source import load_config

        return Vocabulary(load_tokenizer(str(self.folder), DAMAGED), load_config(self.folder).tokens)

    def evaluated(self, process: Process, workers: int) -> EvaluatedModel:
        """Load them onto this process's device, ready to be scored."""
        from cmirnet_cli.engine.evaluation.run import EvaluatedModel
        from cmirnet_cli.engine.threads import use_own_cores

        use_own_cores(workers)
        inference, options = self._inference(), self.options
        warn_if_slow(options.precision, process.device(options.device))
        sizes = {"batch_size": options.batch_size, "workers": workers}
        return replace(EvaluatedModel.load(self.folder, options.device, inference, **sizes, process=process), source=options.weights)

    def _inference(self) -> Inference:
        from cmirnet_cli.engine.inference import Inference
        from cmirnet_cli.model.fast.names import optimizations_named

        return Inference(self.options.precision, optimizations_named(self.options.optimizations))


@dataclass(frozen=True)
class OnnxModel:
    """An export that ONNX Runtime runs."""

    options: ModelOptions
    folder: Path

    def check(self) -> KnownModel:
        """What the export says of itself."""
        from cmirnet_cli.export.spec import read_spec

        spec = read_spec(self.folder)
        return KnownModel(spec.origin.dataset, spec.input.image_size)

    def identity(self) -> dict[str, object]:
        """What masks depend on: the digest of the export and its number format."""
        from cmirnet_cli.export.spec import fingerprint, read_spec

        return {"weights": fingerprint(self.folder), "precision": read_spec(self.folder).precision}

    def predictor(self, process: Process) -> Predictor[Any]:
        """Open it on this process's device, without torch."""
        from cmirnet_cli.export.runtime import ExportedModel

        return ExportedModel.open(self.folder, export_device(self.options.device, process), self.options.batch_size)

    def vocabulary(self) -> ReadsExpressions:
        """What reads expressions, without the graph."""
        from cmirnet_cli.export.preprocessing import SentenceReader
        from cmirnet_cli.export.spec import read_spec

        return SentenceReader.of(self.folder, read_spec(self.folder).input)

    def evaluated(self, process: Process, workers: int) -> EvaluatedModel:
        """Open it on this process's device, in the place of weights; torch carries the numbers to it on the CPU."""
        import torch

        from cmirnet_cli.engine.evaluation.loop import Evaluator
        from cmirnet_cli.engine.evaluation.run import EvaluatedModel
        from cmirnet_cli.export.runtime import ExportedModel
        from cmirnet_cli.export.scoring import ExportedReferring
        from cmirnet_cli.export.spec import AGAIN, fingerprint
        from cmirnet_cli.weights.encoder import load_tokenizer

        device = export_device(self.options.device, process)
        exported = ExportedModel.open(self.folder, device)
        tokenizer, spec = load_tokenizer(str(self.folder), AGAIN), exported.spec
        cpu, batch_size = torch.device("cpu"), self.options.batch_size
        evaluator = Evaluator(ExportedReferring(exported), tokenizer, exported.tokens, cpu, batch_size, workers)
        known = self.options.weights, fingerprint(self.folder), spec.origin.dataset, device, spec.precision
        return EvaluatedModel(evaluator, spec.input.image_size, *known)


@dataclass(frozen=True)
class RemoteModel:
    """A model for processes on other machines, which load it themselves.

    Attributes:
        options: as typed.
        identity: what the model's `identity` is where the command runs.
        max_pixels: the most pixels that an image may have.
    """

    options: ModelOptions
    identity: Mapping[str, object]
    max_pixels: int

    @classmethod
    def of(cls, model: TorchModel | OnnxModel) -> RemoteModel:
        """The model, and the limit of this process."""
        from cmirnet_cli.images.pixels import pixel_limit

        return cls(model.options, model.identity(), pixel_limit())

    def load(self, device: str) -> Predictor[Any]:
        """Load it onto a device of this machine.

        Raises:
            WeightsError: it is not there, or is another one.
        """
        from cmirnet_cli.engine.processes import ALONE
        from cmirnet_cli.images.pixels import limit_pixels

        limit_pixels(self.max_pixels)
        model = named_model(replace(self.options, device=device))
        model.check()
        if model.identity() != self.identity:
            raise WeightsError(f"{self.options.weights} holds other weights", hint="copy the same weights to all machines")
        return model.predictor(ALONE)


def exported_folder(weights: str) -> Path | None:
    """The export that WEIGHTS name; None for weights, which exports of safetensors and of official checkpoints are too.

    Raises:
        ExportError: it is a damaged export.
    """
    from cmirnet_cli.export.spec import holds_export, read_spec

    folder = Path(weights).expanduser()
    return folder if holds_export(folder) and read_spec(folder).format not in ("safetensors", "official") else None


def export_device(device: str, process: Process) -> str:
    """What `--device` means to ONNX Runtime: cpu or cuda:N; each of several processes takes its own GPU.

    Raises:
        ExportError: onnxruntime is not installed.
        UsageError: it has no such device.
    """
    from cmirnet_cli.export.runtime import CPU, pick_provider

    provider, options = pick_provider(device)
    if provider == CPU:
        return "cpu"
    return str(process.device("cuda")) if process.count > 1 and device in ("auto", "cuda") else f"cuda:{options['device_id']}"


def warn_if_slow(precision: str, device: torch.device) -> None:
    """Warn where the network is to compute in bf16, which the device only emulates."""
    from cmirnet_cli.engine.devices import has_bf16

    if precision == "bf16" and not has_bf16(device):
        console.warn(
            f"{device} has no instructions for bf16 and emulates them; on a CPU, this is many times slower than fp32, so leave bf16 out"
        )
