"""`cmirnet benchmark infer`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError
from cmirnet_cli.options import Device, network_size

if TYPE_CHECKING:
    from cmirnet_cli.benchmarks.infer import InferenceComparison, InferenceRequest
    from cmirnet_cli.benchmarks.peers import Peer
    from cmirnet_cli.export.spec import ExportPrecision

LONG = 100
"""Milliseconds from which on fractions of one are not shown."""


def infer(
    weights: Annotated[str | None, typer.Argument(metavar="[WEIGHTS]", help="Random ones by default, which take as long.")] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", metavar="NAME", help="Backbone of the random weights; by default swin-b.")
    ] = None,
    size: Annotated[int | None, network_size("--size", "Image size of the random weights.")] = None,
    images: Annotated[Path | None, typer.Option("--images", metavar="DIR", help="Photographs; drawn scenes by default.")] = None,
    expression: Annotated[
        list[str] | None, typer.Option("--expression", "-e", metavar="TEXT", help="Expression for every image; can be repeated.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, metavar="N", help="Images.")] = 2,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Images per batch, except in the plain way.")] = 1,
    each: Annotated[bool, typer.Option("--each", help="Also time every optimization alone.")] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="Also compiled by torch.compile.")] = False,
    exported: Annotated[
        list[Path] | None, typer.Option("--exported", metavar="EXPORT", help="Also these weights as exported; can be repeated.")
    ] = None,
    onnx: Annotated[
        Literal["fp32", "fp16", "int8"] | None, typer.Option("--onnx", help="Also the random weights, exported to ONNX in this precision.")
    ] = None,
    peer: Annotated[
        str | None,
        typer.Option("--peer", metavar="NAME,…", help="Also these weights in onnxruntime, openvino or both, on the CPU."),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, metavar="N", help="How often each way is timed.")] = 5,
    device: Device = "auto",
) -> int:
    """Predict the same masks in the plain way and in ours: time, memory, ratio, and whether the masks are the same.

    Plain is the published network as written: fp32, every head computed, one image and one sentence at a time. Ours computes no
    auxiliary head, runs the part that sees no text once per image, takes `--batch-size` images at once, and uses the optimizations;
    `--each` also times each of them alone. `--peer` times other programs in the same run.

    Example: cmirnet benchmark infer --backbone resnet101 --onnx int8
    """
    if weights and (backbone or size):
        raise UsageError("--backbone and --size are for random weights", hint="leave them out, or leave WEIGHTS out")
    if weights and onnx:
        raise UsageError("--onnx is for random weights", hint="export yours with `cmirnet export`, and name the export with --exported")
    _check(None if exported else weights, backbone, images)  # the names of exports are looked at first

    from cmirnet_cli.benchmarks.peers import peers_named, runs_of

    peers = peers_named(peer)

    from cmirnet_cli.benchmarks.exports import export_for_the_run, named_exports
    from cmirnet_cli.benchmarks.infer import InferenceRequest, compare_inference, disagreement
    from cmirnet_cli.engine.devices import has_bf16, pick_device
    from cmirnet_cli.engine.environment import in_fresh_process

    expressions = tuple(expression or ("the large red circle",))
    request = InferenceRequest(weights, backbone or "swin-b", size, images, expressions, count, batch_size, device, each, compiled)
    exports = named_exports(request, exported or ())
    with TemporaryDirectory(prefix="cmirnet-benchmark-") as folder:
        files: dict[ExportPrecision, tuple[Peer, ...]] = {"fp32": peers} if peers else {}
        if onnx:
            files[onnx] = tuple(dict.fromkeys(("onnxruntime", *peers)))
        with console.progress("export", len(files)) as advance:
            for precision, running in files.items():
                written = in_fresh_process(export_for_the_run, request, precision, Path(folder))  # its memory is given back
                exports += runs_of(written, precision, running, bf16=has_bf16(pick_device("cpu")))
                advance(1)
        comparison = compare_inference(replace(request, exports=tuple(exports)), rounds, console.progress)
    warning = disagreement(comparison.agreements)
    _show(request, comparison, agrees=warning is None)
    if warning:
        console.warn(warning)
    return 1 if warning else 0


def _check(weights: str | None, backbone: str | None, images: Path | None) -> None:
    """Refuse weights, a backbone or photographs that are nowhere, before torch is loaded."""
    from cmirnet_cli.config import resolve
    from cmirnet_cli.engine.prediction.photo_files import find_photos
    from cmirnet_cli.weights.check import check_weights

    if weights:
        check_weights(weights)
    resolve(flags={"model.backbone": backbone})
    if images:
        find_photos([str(images)])


def _show(request: InferenceRequest, comparison: InferenceComparison, *, agrees: bool) -> None:
    from cmirnet_cli.engine.environment import machine, machine_in_words
    from cmirnet_cli.engine.inference import Inference

    optimizations = Inference().described_on(comparison.device)
    ways = {name: _described(name, comparison) for name in comparison.timings}
    images, expressions, device = comparison.images, len(request.expressions), str(comparison.device)
    peaks = ", ".join(f"{peak / 1000:.3g} in {name}" for name, peak in comparison.peak_gflops.items())
    title = request.weights or f"{request.backbone}, random weights"
    columns = ["way", "ms", "expressions/s", "× plain", "from", "to", "TFLOP/s", "peak MiB", "same pixels", "IoU with plain"]
    console.result(
        {
            "images": images,
            "expressions": expressions,
            "batch_size": request.batch_size,
            "device": device,
            "weights": request.weights,
            "backbone": None if request.weights else request.backbone,
            "optimizations": optimizations,
            "machine": machine(),
            "agrees": agrees,
            "gflops_per_expression": comparison.gflops,
            "matrix_product_gflops_per_second": dict(comparison.peak_gflops),
            "ways": ways,
        },
        console.table(title, columns, [_row(name, way) for name, way in ways.items()]),
        f"{images} × {expressions} images × expressions on {device}; ms of one expression, its text encoder included",
        f"{comparison.gflops:,.0f} GFLOP an expression, one head; a large matrix product reaches {peaks} TFLOP/s here",
        *(f"{name}: {what}" for name, what in optimizations.items()),
        machine_in_words(),
    )


def _described(name: str, comparison: InferenceComparison) -> dict[str, Any]:
    from cmirnet_cli.benchmarks.infer import PLAIN

    timing = comparison.timings[name]
    return {
        "ms": asdict(timing.milliseconds),
        "expressions_per_second": timing.per_second,
        "times_faster_than_plain": asdict(timing.times_faster_than(comparison.timings[PLAIN])),
        "gflops_per_second": comparison.gflops_per_second(name),
        "peak_memory_mib": comparison.memory_mib[name],
        "agreement": asdict(comparison.agreements[name]),
    }


def _row(name: str, way: dict[str, Any]) -> list[str]:
    took = way["ms"]["median"]
    return [
        name,
        f"{took:,.0f}" if took >= LONG else f"{took:.3g}",
        f"{way['expressions_per_second']:.3g}",
        *(f"{way['times_faster_than_plain'][key]:.2f}" for key in ("median", "lowest", "highest")),
        f"{way['gflops_per_second'] / 1000:.3g}",
        f"{way['peak_memory_mib']:,.0f}",
        f"{way['agreement']['pixels']:.3%}",
        f"{way['agreement']['iou']:.3%}",
    ]
