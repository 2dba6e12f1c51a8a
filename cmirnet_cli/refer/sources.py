"""The data set that a user names: a published one, a folder in REFER layout, a JSONL file, or `combined`.

`combined` is refcoco, refcoco+ and refcocog as one data set to train on, without a photograph that any of them tests on:

train   the training referents of all three, less those in a photograph that a val or test split of any of the three holds
val     the val referents of all three, less those in a photograph that a test split of any of the three holds

The three lie on the same photographs, known by COCO's image id, and one's training photograph is another's test photograph.
There are no test splits here: weights trained on `combined` are scored on the test splits of the three, each in a cache of its own.

The divisions are those by unc and umd. Those by google divide objects and not photographs (refcoco's train split holds 19,213 of
its 19,994): even weights trained on such a split have seen its test photographs, and leaving these out as well would cost up to
9,086 photographs of refcoco alone. Scores on a split by google therefore say little about weights trained on `combined`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cmirnet_cli.errors import AnnotationError, UsageError
from cmirnet_cli.refer.archives import Archive, find_archives
from cmirnet_cli.refer.hub import fetched, is_on_hub, repository_of
from cmirnet_cli.refer.jsonl import SPLIT_BY as JSONL
from cmirnet_cli.refer.jsonl import read_jsonl
from cmirnet_cli.refer.layout import USUAL_PLACES, Places, find_layout, find_refs, refs_in
from cmirnet_cli.refer.own import TRAIN, USUAL_OPTIONS, VAL, ReadOptions
from cmirnet_cli.refer.reader import read_dataset
from cmirnet_cli.refer.readers import not_recognised, read_own, reader_of, unread_format
from cmirnet_cli.refer.records import Id
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent, Sentence
from cmirnet_cli.refer.registry import SPLITS, choose_split_by, legal_splits

COMBINED = "combined"
COMBINED_PARTS = (("refcoco", "unc"), ("refcoco+", "unc"), ("refcocog", "umd"))
"""The data sets that are combined and whose division counts, in their order."""

_SUFFIXES = (".json", ".xml", ".parquet")
"""What no name of a data set ends in."""

ID_STEP = 10_000_000
"""The three number their referents and sentences alike: a combined id is the own one plus this times the data set's place."""


def combine(parts: Sequence[ReferDataset]) -> ReferDataset:
    """One data set of the parts' train and val splits, without leakage; the module says what becomes of them.

    Every label but `train` and `val` counts as a test split. A photograph is kept once, whichever parts refer into it; ids of
    referents and sentences are made distinct by ID_STEP.

    Args:
        parts: the data sets of COMBINED_PARTS, in this order.

    Raises:
        AnnotationError: a part lacks one of its splits, so that what must be left out is not known; two parts disagree about an
            image; an id is negative or as large as ID_STEP.
    """
    for part in parts:
        _require_every_split(part)
    images = _one_record_each(parts)
    tested = {referent.image.image_id for part in parts for referent in part.referents if referent.split not in (TRAIN, VAL)}
    scored = tested | {referent.image.image_id for part in parts for referent in part.referents if referent.split == VAL}
    left_out = {TRAIN: scored, VAL: tested}
    kept = [[one for one in part.referents if one.split in left_out and one.image.image_id not in left_out[one.split]] for part in parts]
    return ReferDataset(
        name=COMBINED,
        split_by=choose_split_by(COMBINED, None),
        referents=tuple(_adapted(one, place, images) for place, referents in enumerate(kept) for one in referents),
        annotation_files=tuple(file for part in parts for file in part.annotation_files),
        remarks=(_remark(TRAIN, parts, kept, "val or test"), _remark(VAL, parts, kept, "test")),
        left_out=tuple(reason for part in parts for reason in part.left_out),
    )


def _require_every_split(part: ReferDataset) -> None:
    missing = [split for split in legal_splits(part.name, part.split_by) if split not in part.splits]
    if missing:
        raise AnnotationError(
            f"{part.annotation_files[0]} has no {' and no '.join(missing)}: which photographs must stay out of train is not known",
            hint="fetch the whole file again",
        )


def _one_record_each(parts: Sequence[ReferDataset]) -> dict[Id, ImageRecord]:
    """Image id → the first part's record of it. An id is one file and a file is one id, or leakage would go unseen."""
    by_id: dict[Id, ImageRecord] = {}
    by_file: dict[str, ImageRecord] = {}
    for part in parts:
        for image in part.images:
            for known in (by_id.setdefault(image.image_id, image), by_file.setdefault(image.path.name, image)):
                if _identity(known) != _identity(image):
                    raise AnnotationError(
                        f"the annotations of {part.name} describe {_described(image)}, others of {_described(known)}",
                        hint="combined needs the three data sets as they were published, on COCO's photographs",
                    )
    return by_id


def _identity(image: ImageRecord) -> tuple[Id, str, int, int]:
    return image.image_id, image.path.name, image.height, image.width


def _described(image: ImageRecord) -> str:
    return f"image {image.image_id} ({image.path.name}, {image.width}×{image.height})"


def _adapted(referent: Referent, place: int, images: dict[Id, ImageRecord]) -> Referent:
    """The referent with ids of its own and the one record of its photograph."""
    return replace(
        referent,
        ref_id=_distinct(referent.ref_id, place),
        image=images[referent.image.image_id],
        sentences=tuple(Sentence(_distinct(sentence.sent_id, place), sentence.text) for sentence in referent.sentences),
    )


def _distinct(id_: int, place: int) -> int:
    if not 0 <= id_ < ID_STEP:
        raise AnnotationError(
            f"{COMBINED_PARTS[place][0]} has the id {id_}; combined can only tell ids from 0 to {ID_STEP - 1:,} apart",
            hint="is it the published file?",
        )
    return place * ID_STEP + id_


def _remark(split: str, parts: Sequence[ReferDataset], kept: Iterable[Sequence[Referent]], reason: str) -> str:
    there = sum(referent.split == split for part in parts for referent in part.referents)
    left = there - sum(referent.split == split for referents in kept for referent in referents)
    return f"{COMBINED}: {left:,} of {there:,} {split} referents are left out: their photograph is in a {reason} split of the three"


def read_source(
    name: str,
    split_by: str | None = None,
    places: Places = USUAL_PLACES,
    options: ReadOptions = USUAL_OPTIONS,
    format: str | None = None,
    *,
    skip_bad: bool = False,
) -> ReferDataset:
    """Read the referents of a data set.

    Args:
        name: a data set's name; or a file or folder of annotations, or `hf://datasets/org/name`, whose format is recognised.
        split_by: the name of its division into splits; None takes the data set's usual one.
        places: where to look; for `combined`, `annotations` is the folder that its data sets' folders lie in.
        options: how one's own files are read; of those in REFER layout, which way up.
        format: the key of a reader, in place of the one that recognises the files.
        skip_bad: whether records that cannot be read are left out; not of `combined`.

    Raises:
        UsageError: the name, the split_by or the format is not legal, or an option says nothing about these files.
        AnnotationError: files are missing, broken or contradictory, or in no format that is read here.
    """
    path = _path_of(name, split_by, places)
    if path is None:
        if format or options.text:
            raise UsageError(
                f"{name} is in REFER layout, to which --format and --text do not apply", hint="leave them out, or give a file or folder"
            )
        layouts = [find_layout(*part) for part in _parts(name, split_by, places)]
        skips = skip_bad and name != COMBINED  # the photograph of a test ref that was left out could be trained on
        datasets = [read_dataset(layout, upright=options.upright, skip_bad=skips) for layout in layouts]
        return combine(datasets) if name == COMBINED else datasets[0]
    reader = reader_of(path, format)
    is_jsonl = reader.key == JSONL if reader else name.endswith(".jsonl")
    if reader is None and not is_jsonl:
        raise not_recognised(path)
    useless = {"--split-by": split_by, "--annotations": places.annotations, **({"--images": places.images} if is_jsonl else {})}
    if path == Path(name) and (given := [option for option, value in useless.items() if value is not None]):
        raise UsageError(
            f"{' and '.join(given)} cannot be used with {name}",
            hint="these files name their splits, and their images relative to their own folder",
        )
    if reader is None:
        return read_jsonl(path)  # whose error says what is wrong with it
    dataset = read_own(path, reader, replace(options, images=places.images), skip_bad=skip_bad)
    if is_on_hub(name):
        return replace(dataset, name=repository_of(name), split_by=split_by or reader.key)
    return replace(dataset, name=name, split_by=split_by or reader.key) if path == places.annotations else dataset


def packed(name: str, split_by: str | None = None, places: Places = USUAL_PLACES) -> Iterator[Archive]:
    """The archives to unpack before `read_source`. Unpack each before you ask for the next: what is missing may have been in it.

    Raises:
        UsageError: as `read_source`.
    """
    if not is_on_hub(name) and _path_of(name, split_by, places) is None:
        for part in _parts(name, split_by, places):
            yield from find_archives(*part)


def _path_of(name: str, split_by: str | None, places: Places) -> Path | None:
    """The file or folder of annotations that a name stands for; None for a data set in REFER layout, which is looked for by its name."""
    if is_on_hub(name):
        return fetched(name)
    path = Path(name)
    if name in SPLITS:
        return None
    if name.endswith(".jsonl"):
        return path
    with suppress(PermissionError):  # what may not be looked at is looked for by its name
        if path.is_file() or (path.is_dir() and split_by is None and _holds_own(path, places)):
            return path
        if not path.exists() and (len(path.parts) > 1 or path.suffix in _SUFFIXES):
            address = "://" in name
            problem = "is an address, and only hf:// is fetched" if address else "does not exist"
            raise AnnotationError(f"{name} {problem}", hint="download it, and give its path" if address else "check the path")
    if places.annotations and not (split_by and find_refs(name, split_by, places)) and reader_of(places.annotations):
        return places.annotations
    return None


def _holds_own(folder: Path, places: Places) -> bool:
    """Whether a folder is meant as a path: it is written as one, holds what a reader knows, or is not a place of REFER layout."""
    written = len(folder.parts) > 1
    return written or bool(reader_of(folder) or unread_format(folder)) or not (places.annotations or refs_in(folder))


def _parts(name: str, split_by: str | None, places: Places) -> list[tuple[str, str, Places]]:
    """The data sets in REFER layout that are read for `name`, with their split_by and where they lie."""
    split_by = choose_split_by(name, split_by)
    return [(part, by, places.of_part(part)) for part, by in COMBINED_PARTS] if name == COMBINED else [(name, split_by, places)]
