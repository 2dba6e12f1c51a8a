"""`cmirnet predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cmirnet_cli.commands import predict_options as options
from cmirnet_cli.commands.bulk_result import BulkOutput
from cmirnet_cli.commands.models import ModelOptions
from cmirnet_cli.commands.predict_bulk import InputLists, bulk_request, goes_in_bulk, predict_bulk, refuse_in_bulk
from cmirnet_cli.commands.predict_folder import MaskOptions, OutputOptions, predict_folder
from cmirnet_cli.console import console
from cmirnet_cli.engine.prediction import THRESHOLD
from cmirnet_cli.errors import UsageError
from cmirnet_cli.options import Device, Optimizations, Overwrite, Precision, Tokenizer, Weights
from cmirnet_cli.storage.uris import is_uri

if TYPE_CHECKING:
    from cmirnet_cli.engine.on_ray.cluster import RayOptions
    from cmirnet_cli.engine.prediction.queries import PredictRequest
    from cmirnet_cli.engine.processes import Process

STANDARD_INPUT = "-"


def predict(
    weights: Weights,
    inputs: options.Inputs = None,
    expression: options.Expression = None,
    expressions: options.Expressions = None,
    pairs: options.Pairs = None,
    text: options.Text = None,
    recursive: options.Recursive = False,
    threshold: options.Threshold = THRESHOLD,
    largest_component: options.LargestComponent = False,
    min_score: options.MinScore = 0.0,
    own_range: options.OwnRange = True,
    max_pixels: options.MaxPixels = None,
    out: options.Out = "predictions",
    form: options.Format = "png",
    coco: options.Coco = None,
    overlay: options.Overlay = False,
    cutout: options.Cutout = False,
    soft: options.Soft = False,
    gallery: options.GalleryPage = False,
    chunk: options.ChunkSize = None,
    fail_fast: options.FailFast = False,
    skip_existing: options.SkipExisting = False,
    overwrite: Overwrite = False,
    tokenizer: Tokenizer = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    optimizations: Optimizations = "auto",
    batch_size: options.PhotosAtOnce = 1,
    engine: options.Engine = "local",
    ray_address: options.RayAddress = None,
    actors: options.RayActors = None,
) -> int:
    """Write a mask for every image and expression; images that cannot be read are reported at the end.

    Example: cmirnet predict weights/ photos/ -e "the red cup"
    """
    from cmirnet_cli.engine.bulk.finish import BulkSettings
    from cmirnet_cli.engine.prediction.masks import MaskRule
    from cmirnet_cli.engine.processes import joined
    from cmirnet_cli.images.pixels import limit_pixels
    from cmirnet_cli.reports.predictions.folder import CUTOUTS, MASKS, OVERLAYS, PROBABILITIES
    from cmirnet_cli.storage.place import Place

    if skip_existing and overwrite:
        raise UsageError("--skip-existing continues an earlier run and --overwrite replaces it", hint="give one of them")
    if max_pixels:
        limit_pixels(max_pixels)
    ray = _ray_options(engine, ray_address, actors, device)
    model = ModelOptions(weights, device, precision, optimizations, batch_size, tokenizer)
    mask_rule = MaskRule(threshold, largest_component, min_score)
    with joined() as process:
        if ray and process.count > 1:
            raise UsageError("--engine ray starts its own processes, and torchrun has started some", hint="leave out one of the two")
        streams = not ray and (form == "parquet" or is_uri(out))
        lists = _lists(inputs or [], expression or [], expressions, pairs, process, stream=streams, text=text)
        if form == "parquet" or is_uri(out) or lists.in_bulk:
            given = {"--overlay": overlay, "--cutout": cutout, "--soft": soft, "--gallery": gallery, "--coco": coco}
            refuse_in_bulk([name for name, value in given.items() if value], lists)
            place = Place.named(out)
            settings = BulkSettings(mask_rule, own_range, fail_fast, skip_existing)
            bulk = bulk_request(lists, place, recursive=recursive, text=text, chunk_size=chunk)
            return predict_bulk(bulk, model, settings, BulkOutput(place, form, overwrite), process, ray)
        if chunk or text:
            hint = "it is for inputs or results in storage, archives, parquet files and --format parquet"
            raise UsageError(f"{'--chunk' if chunk else '--text'} means nothing here", hint=hint)
        pictures = {MASKS: True, OVERLAYS: overlay or gallery, CUTOUTS: cutout, PROBABILITIES: soft}
        kinds = [kind for kind, written in pictures.items() if written]
        masks = MaskOptions(mask_rule, own_range, fail_fast)
        output = OutputOptions(Path(out), kinds, coco, gallery, skip_existing, overwrite)
        request, left_out = _request(lists, recursive, output.folder, process)
        return predict_folder(request, model, masks, output, process, ray, left_out=left_out)


def _ray_options(engine: str, address: str | None, actors: int | None, device: str) -> RayOptions | None:
    """Where Ray works, if it does.

    Raises:
        UsageError: Ray is not installed, or options do not fit together.
        CmirnetError: there is no cluster at the address.
    """
    if engine == "local":
        if given := [name for name, value in (("--ray-address", address), ("--actors", actors)) if value]:
            raise UsageError(f"{given[0]} is for --engine ray", hint="add --engine ray, or leave it out")
        return None
    from cmirnet_cli.engine.on_ray.cluster import RayOptions, check_ray

    ray = RayOptions(address, actors, device)
    check_ray(ray)
    return ray


def _lists(
    inputs: Sequence[str],
    expressions: Sequence[str],
    expression_list: str | None,
    pair_list: str | None,
    process: Process,
    *,
    stream: bool,
    text: str | None,
) -> InputLists:
    """What the command line names, with all lists read; nothing is searched yet. With `stream`, standard input is read as it is taken.

    Raises:
        AnnotationError: a list cannot be read.
        UsageError: there are no images or no expressions, or standard input would be read twice.
    """
    sources = [*inputs, expression_list, pair_list]
    if sources.count(STANDARD_INPUT) > 1:
        raise UsageError("standard input (-) can be read once only", hint="write the other lists to files")
    if not inputs and not pair_list:
        raise UsageError("there is no image", hint="give an INPUT with -e, or --pairs")
    if inputs and not (expressions or expression_list or text):
        raise UsageError("there is no expression", hint="add -e or --expressions")
    if (expressions or expression_list) and not inputs:
        raise UsageError("-e and --expressions need an INPUT", hint="name images, or leave them out with --pairs")
    if STANDARD_INPUT in sources and process.count > 1:
        raise UsageError(f"{process.count} processes cannot share standard input (-)", hint="write the list to a file")
    from cmirnet_cli.refer.pairs import read_lines, read_pairs, streamed_lines

    places = [each for each in inputs if each != STANDARD_INPUT]
    stream = stream or any(map(goes_in_bulk, places))
    return InputLists(
        places,
        ([] if STANDARD_INPUT not in inputs else streamed_lines() if stream else read_lines(STANDARD_INPUT)),
        [*expressions, *(read_lines(expression_list) if expression_list else [])],
        read_pairs(pair_list) if pair_list else [],
    )


def _request(lists: InputLists, recursive: bool, out: Path, process: Process) -> tuple[PredictRequest, Mapping[str, int]]:
    """The request, with all images found but those in `out`; how many files were left out by kind.

    Raises:
        DataError: an input names nothing, or a folder cannot be read.
    """
    from cmirnet_cli.engine.prediction.photo_files import find_photos, listed_photo
    from cmirnet_cli.engine.prediction.queries import PredictRequest
    from cmirnet_cli.reports.predictions.folder import KINDS

    results = [out, *(out / kind for kind in KINDS)]  # these, too, for photographs may lie in `out` itself
    listed = [listed_photo(Path(line), Path(line)) for line in lists.listed]
    found = find_photos(lists.inputs, recursive=recursive, exclude=results)
    if found.left_out and process.first:
        console.notice(found.notice)
    pairs = [(listed_photo(each.path, each.written), each.expression) for each in lists.pairs]
    return PredictRequest([*found.photos, *listed], lists.expressions, pairs), found.left_out
