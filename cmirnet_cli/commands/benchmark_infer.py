"""`cmirnet benchmark infer`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError
from cmirnet_cli.options import Device, network_size

if TYPE_CHECKING:
    import torch

    from cmirnet_cli.benchmarks.infer import InferenceBatch, Way, WayResult
    from cmirnet_cli.export.spec import ExportPrecision
    from cmirnet_cli.images.pixels import Pixels
    from cmirnet_cli.weights.bundle import Bundle

SCENE = 640
"""Side of a drawn scene, in pixels."""
LONG = 100
"""Milliseconds from which on fractions of one are not shown."""


@dataclass(frozen=True)
class _Subject:
    """What is asked about what, and in which ways: weights or a backbone with random weights, photos or drawn scenes, exports by name."""

    weights: str | None
    backbone: str
    size: int | None
    images: Path | None
    expressions: tuple[str, ...]
    count: int
    device: str
    together: int
    each: bool
    compiled: bool
    exported: tuple[tuple[str, Path], ...] = ()


def infer(
    weights: Annotated[str | None, typer.Argument(metavar="[WEIGHTS]", help="Left out: random ones, which take as long.")] = None,
    backbone: Annotated[str | None, typer.Option("--backbone", metavar="NAME", help="Backbone of the random weights; swin-b.")] = None,
    size: Annotated[int | None, network_size("--size", "Image size of the random weights.")] = None,
    images: Annotated[Path | None, typer.Option("--images", metavar="DIR", help="Photographs; left out: scenes that are drawn.")] = None,
    expression: Annotated[
        list[str] | None, typer.Option("--expression", "-e", metavar="TEXT", help="Asked about every image; can be repeated.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, metavar="N", help="Images.")] = 2,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Images at once, but in the plain way.")] = 1,
    each: Annotated[bool, typer.Option("--each", help="Also time every optimization alone.")] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="Also compiled by torch.compile.")] = False,
    exported: Annotated[
        list[Path] | None, typer.Option("--exported", metavar="EXPORT", help="Also these weights as exported; can be repeated.")
    ] = None,
    onnx: Annotated[
        Literal["fp32", "fp16", "int8"] | None, typer.Option("--onnx", help="Also the random weights, exported to ONNX in this precision.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, metavar="N", help="How often each way is timed.")] = 5,
    device: Device = "auto",
) -> int:
    """Ask the same questions in the plain way and in ours: time, memory, ratio, and whether the masks are the same.

    Plain is the published network as written: fp32, every head computed, one image and one sentence a forward. Ours computes no
    auxiliary head, shares what sees no text among the sentences of an image, takes `--batch-size` images at once, and makes the
    optimizations; `--each` also times each of them alone.

    Example: cmirnet benchmark infer --backbone resnet101 --onnx int8
    """
    expressions = tuple(expression or ("the large red circle",))
    if weights and (backbone or size):
        raise UsageError("--backbone and --size are for random weights", hint="leave them out, or leave WEIGHTS out")
    subject = _Subject(weights, backbone or "swin-b", size, images, expressions, count, device, batch_size, each, compiled)
    _require_apart(subject, exported or ())
    with TemporaryDirectory(prefix="cmirnet-benchmark-") as folder:
        exports = [*_given(subject, exported or ()), *_made(subject, onnx, Path(folder))]
        return _compare(replace(subject, exported=tuple(exports)), rounds)


def _require_apart(subject: _Subject, folders: Sequence[Path]) -> None:
    """Refuse exports that the table could not tell from another way, whose names are their paths, or from each other."""
    from cmirnet_cli.engine.devices import pick_device

    taken = {way.name for way in _ways(subject, pick_device(subject.device))} if folders else set()
    places: set[Path] = set()
    for folder in folders:
        if str(folder) in taken:
            raise UsageError(
                f"--exported {folder} has the name of a way that is compared too", hint=f"give its whole path: {folder.absolute()}"
            )
        if folder.resolve() in places:
            raise UsageError(f"--exported {folder} was given already", hint="give each export once")
        places.add(folder.resolve())


def _given(subject: _Subject, folders: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    from cmirnet_cli.benchmarks.infer import require_made_from

    for folder in folders:
        require_made_from(folder, subject.weights)
        yield str(folder), folder


def _made(subject: _Subject, precision: ExportPrecision | None, folder: Path) -> Iterator[tuple[str, Path]]:
    from cmirnet_cli.benchmarks.infer import export_random

    if precision is None:
        return
    if subject.weights:
        raise UsageError("--onnx is for random weights", hint="export yours with `cmirnet export`, and name the export with --exported")
    with console.progress("export", 1) as advance:
        export_random(partial(_loaded, subject), subject.expressions, precision, folder / precision)
        advance(1)
    yield f"ONNX {precision}", folder / precision


def _compare(subject: _Subject, rounds: int) -> int:
    """Measure and report; 1 if the exact way turned out to be none."""
    from cmirnet_cli.benchmarks.infer import disagreement

    bundle, questions, place = prepared(subject)
    ways = _ways(subject, place)
    measured = _measure(subject, ways, bundle, questions, place, rounds)
    wrong = disagreement(measured.agreements)
    _show(replace(subject, count=sum(len(each.images) for each in questions)), measured, place, agrees=wrong is None)
    if wrong:
        console.warn(wrong)
    return 1 if wrong else 0


def memory_in_a_fresh_process(subject: _Subject, name: str) -> float:
    """Peak memory of one way in MiB; public so that another process can find it."""
    from cmirnet_cli.benchmarks.infer import memory_of

    bundle, questions, place = prepared(subject)
    (way,) = (way for way in _ways(subject, place) if way.name == name)
    return memory_of(way, bundle, questions, place)


def prepared(subject: _Subject) -> tuple[Bundle, Sequence[InferenceBatch], torch.device]:
    """The model, the questions and the device; the same each time."""
    from cmirnet_cli.benchmarks.infer import inference_batches
    from cmirnet_cli.engine.devices import pick_device

    place, bundle = pick_device(subject.device), _loaded(subject)
    photos = _photos(subject, bundle.config.image_size)
    return bundle, inference_batches(bundle, photos, subject.expressions, place, subject.together), place


def _loaded(subject: _Subject) -> Bundle:
    from cmirnet_cli.benchmarks.stand_ins import random_bundle
    from cmirnet_cli.weights.source import load_weights

    return load_weights(subject.weights) if subject.weights else random_bundle(subject.backbone, subject.size, subject.expressions)


def _photos(subject: _Subject, size: int) -> Sequence[Pixels]:
    from cmirnet_cli.engine.prediction.photos import find_photos, read_photo
    from cmirnet_cli.images.pixels import resized
    from cmirnet_cli.scenes import drawn_questions

    if subject.images:
        photos = [read_photo(photo.path) for photo in find_photos([str(subject.images)])[: subject.count]]
    else:
        photos = [pixels for pixels, _ in drawn_questions(subject.count, SCENE)]
    return [resized(pixels, size, size) for pixels in photos]


def _ways(subject: _Subject, place: torch.device) -> list[Way]:
    from cmirnet_cli.benchmarks.infer import exported_way, ways

    return [*ways(place, each=subject.each, compiled=subject.compiled), *(exported_way(*export) for export in subject.exported)]


def _measure(
    subject: _Subject, ways: Sequence[Way], bundle: Bundle, questions: Sequence[InferenceBatch], place: torch.device, rounds: int
) -> WayResult:
    from cmirnet_cli.benchmarks.infer import ONE_HEAD, PLAIN, Agreement, WayResult, answer_all, own_copies
    from cmirnet_cli.benchmarks.timing import gflops_of, matrix_product_gflops, side_by_side

    models = own_copies(bundle, ways, place)
    runs = {way.name: partial(answer_all, way, models[way.name], questions) for way in ways}
    with console.progress("compare", len(ways)) as advance:
        answers = {}
        for name, run in runs.items():
            answers[name] = run()
            advance(1)
    agreements = {name: Agreement.of(found, answers[PLAIN]) for name, found in answers.items()}
    items = sum(map(len, questions))
    with console.progress("time", rounds * len(ways)) as advance:
        timings = side_by_side(runs, items, rounds, advance=advance)
    gflops = gflops_of(runs[ONE_HEAD]) / items
    peaks = matrix_product_gflops(place)
    del models, runs, answers
    return WayResult(timings, agreements, _memory(subject, ways), gflops, peaks)


def _memory(subject: _Subject, ways: Sequence[Way]) -> Mapping[str, float]:
    """Peak memory in MiB of each way, in a process of its own."""
    from cmirnet_cli.engine.environment import in_fresh_process

    memory = {}
    with console.progress("memory", len(ways)) as advance:
        for way in ways:
            memory[way.name] = in_fresh_process(memory_in_a_fresh_process, subject, way.name)
            advance(1)
    return memory


def _show(subject: _Subject, measured: WayResult, place: torch.device, *, agrees: bool) -> None:
    from cmirnet_cli.engine.environment import machine, machine_in_words
    from cmirnet_cli.engine.inference import Inference

    optimizations = Inference().described_on(place)
    title = subject.weights or f"{subject.backbone}, random weights"
    columns = ["way", "ms", "expressions/s", "× plain", "from", "to", "TFLOP/s", "peak MiB", "same pixels", "IoU with plain"]
    facts = {"images": subject.count, "expressions": len(subject.expressions), "batch_size": subject.together, "device": str(place)}
    peaks = ", ".join(f"{peak / 1000:.3g} in {name}" for name, peak in measured.peak_gflops.items())
    console.result(
        {
            **facts,
            "weights": subject.weights,
            "backbone": None if subject.weights else subject.backbone,
            "optimizations": optimizations,
            "machine": machine(),
            "agrees": agrees,
            "gflops_per_expression": measured.gflops,
            "matrix_product_gflops_per_second": dict(measured.peak_gflops),
            "ways": {name: _told(name, measured) for name in measured.timings},
        },
        console.table(title, columns, [_row(name, measured) for name in measured.timings]),
        f"{subject.count} × {len(subject.expressions)} images × expressions on {place}; ms of one expression, its text encoder included",
        f"{measured.gflops:,.0f} GFLOP an expression, one head; a large matrix product reaches {peaks} TFLOP/s here",
        *(f"{name}: {what}" for name, what in optimizations.items()),
        machine_in_words(),
    )


def _row(name: str, measured: WayResult) -> list[str]:
    told, agreement = _told(name, measured), measured.agreements[name]
    ratios = [f"{told['times_faster_than_plain'][key]:.2f}" for key in ("median", "lowest", "highest")]
    took = told["ms"]["median"]
    speed = [f"{took:,.0f}" if took >= LONG else f"{took:.3g}", f"{told['expressions_per_second']:.3g}"]
    held = [f"{told['gflops_per_second'] / 1000:.3g}", f"{told['peak_memory_mib']:,.0f}"]
    return [name, *speed, *ratios, *held, f"{agreement.pixels:.3%}", f"{agreement.iou:.3%}"]


def _told(name: str, measured: WayResult) -> dict[str, Any]:
    from cmirnet_cli.benchmarks.infer import PLAIN

    timing = measured.timings[name]
    return {
        "ms": asdict(timing.milliseconds),
        "expressions_per_second": timing.per_second,
        "times_faster_than_plain": asdict(timing.times_faster_than(measured.timings[PLAIN])),
        "gflops_per_second": measured.gflops_per_second(name),
        "peak_memory_mib": measured.memory_mib[name],
        "agreement": asdict(measured.agreements[name]),
    }
