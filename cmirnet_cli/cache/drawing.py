"""Drawing the masks of a data set, each once, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from cmirnet_cli.cache.annotations import Ragged, mask_field
from cmirnet_cli.cache.audit import MaskAudit, kinds_of
from cmirnet_cli.cache.schema import CacheOptions, MaskFinding
from cmirnet_cli.cache.workers import in_order_by_processes
from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.images.masks import encode_mask, encode_runs, rasterise, resized_mask
from cmirnet_cli.refer.referent import ReferDataset, Referent

WORTH_PROCESSES = 2_000
"""From this many referents on, drawing them takes longer than starting processes."""
_GROUP = 25
"""Referents that a process is given at once."""


@dataclass(frozen=True)
class DrawnMasks:
    """The masks of a data set.

    Attributes:
        referents: those whose outlines could be drawn.
        columns: their masks by `mask_field`: at original size as COCO RLE counts, at each network size as runs (see `encode_runs`).
        audit: what is odd about them.
        faults: the errors about outlines that cannot be drawn; the referent and its image are named.
    """

    referents: tuple[Referent, ...]
    columns: dict[str, Ragged]
    audit: tuple[MaskFinding, ...]
    faults: tuple[AnnotationError, ...]


@dataclass(frozen=True)
class _Drawn:
    """One mask, encoded at its original size and then at each network size, and the kinds of oddity that fit it."""

    encoded: tuple[bytes, ...]
    kinds: tuple[str, ...]


def draw_masks(dataset: ReferDataset, options: CacheOptions, advance: Callable[[int], None], workers: int = 0) -> DrawnMasks:
    """Draw and audit the masks of all referents.

    Args:
        dataset: whose they are.
        options: sizes and overlap rule.
        advance: called with the number of masks drawn since the last call.
        workers: processes that draw. With fewer than two, or for few masks, this process draws. The masks are the same either way.
    """
    audit, drawn, faults = MaskAudit(), list[Referent](), list[AnnotationError]()
    counts: list[tuple[bytes, ...]] = []
    for referent, mask in zip(dataset.referents, _all_drawn(dataset.referents, options, workers), strict=True):
        if isinstance(mask, AnnotationError):
            faults.append(AnnotationError(f"{referent.named} on {referent.image.path.name}: {mask.message}", mask.hint))
            audit.leave_out(referent)
        else:
            audit.take(referent, mask.kinds)
            drawn.append(referent)
            counts.append(mask.encoded)
        advance(1)
    columns = zip(*counts, strict=True) if counts else ()
    fields = map(mask_field, (None, *options.sizes))
    return DrawnMasks(tuple(drawn), dict(zip(fields, map(Ragged.pack, columns), strict=False)), audit.findings(), tuple(faults))


def _all_drawn(referents: Sequence[Referent], options: CacheOptions, workers: int) -> Iterator[_Drawn | AnnotationError]:
    """The mask of each referent, or why it cannot be drawn."""
    draw = partial(_draw, options=options)
    if workers < 2 or len(referents) < WORTH_PROCESSES:
        yield from map(draw, referents)
        return
    groups = (referents[first : first + _GROUP] for first in range(0, len(referents), _GROUP))
    for masks in in_order_by_processes(partial(_draw_each, options=options), groups, workers):
        yield from masks


def _draw_each(referents: Sequence[Referent], options: CacheOptions) -> list[_Drawn | AnnotationError]:
    return [_draw(referent, options) for referent in referents]


def _draw(referent: Referent, options: CacheOptions) -> _Drawn | AnnotationError:
    try:
        mask = rasterise(referent.objects, referent.image.height, referent.image.width, overlap=options.overlap)
    except AnnotationError as error:
        return error
    encoded = (encode_mask(mask), *(encode_runs(resized_mask(mask, size)) for size in options.sizes))
    return _Drawn(encoded, tuple(kinds_of(referent, mask)) if referent.objects else ())
