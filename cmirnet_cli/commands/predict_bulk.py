"""`cmirnet predict` in bulk: inputs or results that are in storage, archives or parquet files, taken chunk by chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmirnet_cli.commands.bulk_result import BulkOutput, BulkTotal, Replacing, show_result
from cmirnet_cli.commands.models import ModelOptions, RemoteModel, named_model
from cmirnet_cli.commands.predict_notices import tell_of_expressions
from cmirnet_cli.console import console
from cmirnet_cli.errors import DataError, ImageError, UsageError, counted
from cmirnet_cli.storage.uris import is_container, is_uri, local_path, shown

if TYPE_CHECKING:
    from cmirnet_cli.engine.bulk.chunk import Chunk
    from cmirnet_cli.engine.bulk.chunks import BulkRequest
    from cmirnet_cli.engine.bulk.finish import BulkSettings, ChunkReport
    from cmirnet_cli.engine.on_ray.cluster import RayOptions
    from cmirnet_cli.engine.prediction.predictor import Predictor
    from cmirnet_cli.engine.prediction.vocabulary import ReadsExpressions
    from cmirnet_cli.engine.processes import Process
    from cmirnet_cli.refer.pairs import Pair
    from cmirnet_cli.reports.predictions.parquet import ParquetChunks
    from cmirnet_cli.reports.predictions.pictures import PngChunks
    from cmirnet_cli.storage.place import Place


@dataclass(frozen=True)
class InputLists:
    """What the command line names, with its lists read.

    Attributes:
        inputs: files, folders, patterns, archives and URIs.
        listed: image files that standard input lists; gone through once.
        expressions: about all of these.
        pairs: images with an expression each.
    """

    inputs: Sequence[str]
    listed: Iterable[str]
    expressions: Sequence[str]
    pairs: Sequence[Pair]

    @property
    def in_bulk(self) -> bool:
        """Whether any of it makes this bulk prediction."""
        listed = self.listed if isinstance(self.listed, list) else ()
        return any(map(goes_in_bulk, [*self.inputs, *listed])) or any(pair.uri for pair in self.pairs)


def goes_in_bulk(path: str) -> bool:
    """Whether a path or URI names storage, or an archive or parquet file on this machine."""
    return is_uri(path) or is_container(path)


def refuse_in_bulk(given: Sequence[str], lists: InputLists) -> None:
    """Refuse what bulk prediction does not do, by the names of the options.

    Raises:
        UsageError: there is anything of that kind.
    """
    if given:
        hint = "--format png and parquet write masks only; name folders on this machine for the rest"
        raise UsageError(f"{', '.join(given)} cannot be written for storage, archives, parquet files or --format parquet", hint=hint)
    if lists.pairs and lists.inputs:
        hint = "give --pairs alone, or the INPUTs with -e"
        raise UsageError("--pairs and INPUT cannot be put together for storage, archives, parquet files or --format parquet", hint=hint)


def bulk_request(lists: InputLists, place: Place, *, recursive: bool, text: str | None, chunk_size: int | None) -> BulkRequest:
    """The request for bulk prediction; every image of a list of pairs is named once, with all its expressions.

    Raises:
        UsageError: an expression is empty or no Unicode text.
    """
    from cmirnet_cli.engine.bulk.chunk import BulkPhoto
    from cmirnet_cli.engine.bulk.chunks import CHUNK, BulkRequest, listed_photo_name
    from cmirnet_cli.engine.prediction.queries import checked_expression
    from cmirnet_cli.reports.predictions.folder import KINDS

    found: dict[str, dict[str, None]] = {}
    names: dict[str, str] = {}
    for pair in lists.pairs:
        where = pair.uri or str(pair.path)
        names[where] = listed_photo_name(pair.uri or str(pair.written))
        found.setdefault(where, {})[checked_expression(pair.expression)] = None
    common = tuple(dict.fromkeys(map(checked_expression, lists.expressions)))
    pairs = [BulkPhoto(where, names[where], tuple(expressions)) for where, expressions in found.items()]
    results = [place.root, *map(place.at, KINDS)]  # these, too, for photographs may lie in the place itself
    inputs = list(map(local_path, lists.inputs))
    return BulkRequest(inputs, common, lists.listed, pairs, recursive, results, text or "", chunk_size or CHUNK)


def predict_bulk(
    request: BulkRequest,
    model: ModelOptions,
    settings: BulkSettings,
    output: BulkOutput,
    process: Process,
    ray: RayOptions | None,
) -> int:
    """Predict chunk after chunk; each of several processes takes every n-th chunk, and the first one reports.

    Args:
        request: what to predict on.
        model: which weights.
        settings: how masks are made.
        output: where they go.
        process: this one of those that share the work.
        ray: the cluster that does the work in place of this process, if one does.
    """
    from cmirnet_cli.engine.bulk.chunks import chunks
    from cmirnet_cli.reports.predictions.chunks import begin_place, require_place
    from cmirnet_cli.reports.predictions.folder import sweep_all
    from cmirnet_cli.reports.predictions.parquet import require_pyarrow

    if output.form == "parquet":
        require_pyarrow()
    opened = named_model(model)
    opened.check()
    described = {**opened.identity(), **_described(request, settings, output)}
    earlier = {"skip_existing": settings.skip_existing, "overwrite": output.overwrite}
    if process.first:
        require_place(output.place, described, **earlier)
    from_list = _from_list(request)
    if ray:
        request = replace(request, listed=list(request.listed))  # another process lists them, and may have to do so again
    left_out: Counter[str] = Counter()
    all_chunks = chunks(request, left_out)
    first = next(all_chunks, None)  # what is wrong with inputs is said before anything is written or loaded
    if first is None:
        raise DataError("there is no image", hint="standard input lists none")
    all_chunks = chain([first], all_chunks)
    predictor = None if ray else opened.predictor(process)
    unknown = _unknown_expressions(predictor or opened.vocabulary(), request, process)
    begin = partial(begin_place, output.place, described, **earlier)
    process.wait()  # nothing of an earlier run is removed before every process has its model
    if process.first and not ray:
        begin()
    process.wait()

    total = BulkTotal()
    with console.progress("predict") as advance:
        if ray:
            left_out = _finish_on_ray(request, ChunkWork(RemoteModel.of(opened), output.writer(), settings), ray, total, advance, begin)
        elif predictor:
            _finish_here(predictor, all_chunks, output, settings, process, total, advance)
    totals = process.gather([total])
    if process.first:
        if output.place.folder and (ray or settings.skip_existing or output.overwrite):
            sweep_all(output.place.folder)  # of what actors or an earlier run left when they died
        show_result(output, totals, settings, from_list=from_list, left_out=left_out, unknown=unknown)
    process.wait()  # a launcher ends all processes as soon as one of them ends badly
    return ImageError.exit_code if process.first and any(each.broken for each in totals) else 0


def _unknown_expressions(reader: ReadsExpressions, request: BulkRequest, process: Process) -> Sequence[str]:
    """Say which expressions are cut or unknown; returns the unknown ones."""
    expressions = list(dict.fromkeys([*request.expressions, *(each for pair in request.pairs for each in pair.expressions)]))
    unknown = reader.unknown(expressions)
    if process.first:
        tell_of_expressions(expressions, reader.too_long(expressions), unknown, reader.tokens)
    return unknown


def _finish_here(
    predictor: Predictor[Any],
    all_chunks: Iterable[Chunk],
    output: BulkOutput,
    settings: BulkSettings,
    process: Process,
    total: BulkTotal,
    advance: Callable[[int], object],
) -> None:
    """Finish every n-th chunk in this process."""
    from cmirnet_cli.engine.bulk.finish import finish_chunk

    for chunk in all_chunks:
        total.chunks += 1
        if chunk.number % process.count == process.rank:
            writer = Replacing(output.writer())
            total.add(finish_chunk(predictor, chunk, writer, settings, advance), writer.replaced)


def _finish_on_ray(
    request: BulkRequest,
    work: ChunkWork,
    ray: RayOptions,
    total: BulkTotal,
    advance: Callable[[int], object],
    begin: Callable[[], object],
) -> Counter[str]:
    """Finish all chunks on a Ray cluster; how many files were left out, by kind."""
    from cmirnet_cli.engine.on_ray.run import run_on_ray

    def take(done: tuple[ChunkReport, int]) -> None:
        total.chunks += 1
        total.add(*done)

    return run_on_ray(partial(_counted_chunks, request), work, ray, take, advance, begin)


def _counted_chunks(request: BulkRequest) -> Generator[Chunk, None, Counter[str]]:
    """The chunks of a request; then how many files were left out, by kind."""
    from cmirnet_cli.engine.bulk.chunks import chunks

    left_out: Counter[str] = Counter()
    yield from chunks(request, left_out)
    return left_out


@dataclass(frozen=True)
class ChunkWork:
    """What an actor of Ray does: finish chunks."""

    model: RemoteModel
    writer: PngChunks | ParquetChunks
    settings: BulkSettings

    def begin(self, device: str) -> Callable[..., tuple[ChunkReport, int]]:
        """Load the model. The worker reports a chunk, and how many finished ones of an earlier run it replaced."""
        from cmirnet_cli.engine.bulk.finish import finish_chunk

        predictor = self.model.load(device)

        def finish(chunk: Chunk, advance: Callable[[int], object], *, again: bool) -> tuple[ChunkReport, int]:
            earlier_run = self.settings.skip_existing and not again  # an attempt that died may have finished it, which is this run's work
            writer = Replacing(self.writer)
            report = finish_chunk(predictor, chunk, writer, replace(self.settings, skip_existing=earlier_run), advance)
            return report, writer.replaced

        return finish

    def describe(self, chunk: Chunk) -> str:
        """Its images or its archive."""
        if chunk.container:
            return shown(chunk.container.uri)
        first, last = chunk.photos[0], chunk.photos[-1]
        return f"{counted(len(chunk.photos), 'image')} from {shown(first.uri)} to {shown(last.uri)}"


def _described(request: BulkRequest, settings: BulkSettings, output: BulkOutput) -> dict[str, object]:
    """What rows depend on besides weights and chunks, and what chunks are cut from. What lists name is too much to be kept."""
    rule = settings.mask_rule
    return {
        "threshold": rule.threshold,
        "largest_component": rule.largest_component,
        "min_score": rule.min_score,
        "own_range": settings.own_range,
        "format": output.form,
        "chunk": request.chunk_size,
        "inputs": [*map(_place_of, request.inputs), *(["a list"] if _from_list(request) else [])],
        "recursive": request.recursive,
        "expressions": list(request.expressions),
        "text": request.text,
    }


def _place_of(written: str) -> str:
    """An input as it is known again, wherever the command is run."""
    return shown(written).rstrip("/") if is_uri(written) else str(Path(written).expanduser().resolve())


def _from_list(request: BulkRequest) -> bool:
    """Whether standard input or --pairs names images."""
    return bool(request.pairs) or not isinstance(request.listed, list) or bool(request.listed)
