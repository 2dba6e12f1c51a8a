"""REFER's two files joined: every referent with its image, its outlines and its sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from cmirnet_cli.errors import AnnotationError, UsageError, shown
from cmirnet_cli.images import Segmentation
from cmirnet_cli.images.pixels import UnreadableImageError, open_image, orientation, upright_size
from cmirnet_cli.refer.layout import ImageFolders, Layout
from cmirnet_cli.refer.records import (
    LONGEST_TEXT,
    Id,
    Instances,
    Record,
    adding_to,
    collector_paused,
    is_path,
    parse_json,
    read_bytes,
    read_instances,
    require_no_faults,
    stays_inside,
)
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent, Sentence
from cmirnet_cli.refer.registry import SPLITS
from cmirnet_cli.refer.unpickle import read_plain_pickle

LARGEST_IMAGE = 1 << 28
"""Pixels. More would not fit into memory as a mask."""

_MOST_CHARACTERS = 64
"""Of all sentences together, for each byte of their file."""

NO_TARGET = -1
"""gRefCOCO's `ann_id` of sentences that refer to nothing in the image."""


def read_dataset(layout: Layout, *, upright: bool | None = None, skip_bad: bool = False) -> ReferDataset:
    """Read all referents of a data set.

    The image's file name is that of `instances.json` (a ref's own `file_name` is not a file). A sentence's text is its `raw`
    field, which keeps case and punctuation as the published training does; only where a file has no `raw`, it is `sent`.
    The path of an image file that is missing is where it was expected first. Sentences without a word are part of the published
    counts, so they stay, with a remark.

    Args:
        layout: where the files are.
        upright: of a data set of one's own, whether the outlines were drawn on the photographs as people see them, or as they are
            stored; None: as they are stored, and a referent whose photograph EXIF turns without a trace in its size says so. A
            published data set is as it is stored.
        skip_bad: whether a ref that cannot be read is left out; else all such are an error that lists the first of them.

    Raises:
        AnnotationError: a file cannot be read or contradicts itself or the other; file, record and field are named.
        UsageError: `upright` is given for a published data set.
    """
    published, faults = layout.dataset in SPLITS, list[AnnotationError]()
    if published and upright is not None:
        hint = "--upright and --no-upright are for your own data"
        raise UsageError(f"{layout.dataset} was drawn on the photographs as they are stored", hint=hint)
    with collector_paused():
        join = _Join(read_instances(layout.instances), ImageFolders(layout.image_folders), upright, look=not published and upright is None)
        referents = tuple(join.referents(layout.refs, adding_to(faults)))
    if not skip_bad or not referents:
        require_no_faults(layout.refs, faults, "refs")
    _refuse_amplified_text(referents, layout.refs)
    empty = [referent.ref_id for referent in referents for sentence in referent.sentences if not sentence.text.strip()]
    remarks = (f"{len(empty):,} sentences hold no word; the first is one of ref {empty[0]}",) if empty else ()
    left_out = tuple(fault.message for fault in faults)
    return ReferDataset(layout.dataset, layout.split_by, referents, (layout.refs, layout.instances), remarks, left_out)


def _read_refs(file: Path) -> list[Any]:
    """The records of a refs file, of whatever type."""
    refs = read_plain_pickle(file) if file.suffix == ".p" else parse_json(read_bytes(file), str(file))
    if not isinstance(refs, list):
        raise AnnotationError(f"{file} holds no list of refs but {shown(refs)}", hint="check that this is a refs file")
    _refuse_repetition(refs, file)
    return refs


def _refuse_repetition(refs: list[Any], file: Path) -> None:
    """A pickle can hold one long list in many places; what is read must stay within what a file of this size can spell out."""
    lists = (ref.get(key) for ref in refs if isinstance(ref, dict) for key in ("sentences", "ann_id", "category_id"))
    if sum(len(items) for items in lists if isinstance(items, list)) > file.stat().st_size:
        raise AnnotationError(f"{file} repeats the same lists more often than its size allows", hint="it was made to exhaust memory")


def _refuse_amplified_text(referents: Sequence[Referent], file: Path) -> None:
    """As `_refuse_repetition`, of one long text in many places. A genuine sentence may be said of many referents, in a record each."""
    if sum(len(sentence.text) for referent in referents for sentence in referent.sentences) > _MOST_CHARACTERS * file.stat().st_size:
        raise AnnotationError(f"{file} repeats the same text more often than its size allows", hint="it was made to exhaust memory")


class _Join:
    """Looks up what refs point at; with `look`, every image file is opened, to see whether EXIF turns it."""

    def __init__(self, instances: Instances, folders: ImageFolders, upright: bool | None, look: bool) -> None:
        self.instances = instances
        self.folders = folders
        self.upright = bool(upright)
        self.look = look
        self.images: dict[Id, ImageRecord] = {}
        self.turned: set[Id] = set()

    def referents(self, file: Path, fault: Callable[[AnnotationError], None]) -> Iterator[Referent]:
        """The referents of a refs file; `fault` takes the error about each that cannot be read."""
        seen: set[int] = set()
        for position, fields in enumerate(_read_refs(file)):
            try:
                ref_id = Record.of(fields, file, f"refs[{position}]").integer("ref_id")
                ref = Record(fields, file, f"ref {ref_id}")
                if ref_id in seen:
                    raise ref.refused("field 'ref_id' occurs a second time")
                referent = self.referent(ref)
            except AnnotationError as error:
                fault(error)
            else:
                seen.add(ref_id)
                yield referent

    def referent(self, ref: Record) -> Referent:
        image = self.image(ref)
        targets = _target_ids(ref)
        return Referent(
            ref_id=ref.integer("ref_id"),
            split=ref.label("split"),
            image=image,
            category=self.category(ref) if targets else "",
            objects=tuple(self.outline(ref, target, image.image_id) for target in targets),
            sentences=_sentences(ref),
            oddity="turned" if image.image_id in self.turned else None,
        )

    def image(self, ref: Record) -> ImageRecord:
        image_id = ref.identifier("image_id")
        if image_id not in self.images:
            if image_id not in self.instances.images:
                raise ref.refused(f"field 'image_id': {self.instances.file} has no image {shown(image_id)}")
            self.images[image_id] = self.new_image(image_id)
        return self.images[image_id]

    def new_image(self, image_id: Id) -> ImageRecord:
        record = Record(self.instances.images[image_id], self.instances.file, f"image {shown(image_id)}")
        height, width, file_name = record.integer("height"), record.integer("width"), record.text("file_name")
        if height < 1 or width < 1 or height * width > LARGEST_IMAGE:
            raise record.refused(f"fields 'width' and 'height' say {width}×{height} pixels, which no image here can have")
        if not is_path(file_name) or not stays_inside(file_name):
            raise record.wrong("file_name", "a file in the folder of images")
        path = self.folders.find(file_name)
        if self.look and _is_turned(path, width, height):
            self.turned.add(image_id)
        return ImageRecord(image_id, path, height, width, self.upright)

    def outline(self, ref: Record, target: Id, image_id: Id) -> Segmentation:
        if target not in self.instances.annotations:
            raise ref.refused(f"field 'ann_id': {self.instances.file} has no annotation {shown(target)}")
        annotation = Record(self.instances.annotations[target], self.instances.file, f"annotation {shown(target)}")
        if annotation.identifier("image_id") != image_id:
            elsewhere = shown(annotation.value("image_id"))
            raise ref.refused(f"field 'ann_id': annotation {shown(target)} lies in another image ({elsewhere})")
        outline = annotation.value("segmentation")
        if not isinstance(outline, list | dict):
            raise annotation.wrong("segmentation", "a list or an RLE")
        return cast(Segmentation, outline)

    def category(self, ref: Record) -> str:
        """The category's name, or its id where it has none; of several different ones (gRefCOCO), all, joined by a comma."""
        ids = dict.fromkeys(ref.ids("category_id"))
        named = ", ".join(self.instances.categories.get(id_, str(id_)) for id_ in ids)
        if len(named) > LONGEST_TEXT:
            raise ref.wrong("category_id", f"categories whose names have at most {LONGEST_TEXT} characters together")
        return named


def _is_turned(path: Path, width: int, height: int) -> bool:
    """Whether EXIF turns a picture in such a way that both ways up have the annotated size; not if it cannot be read."""
    try:
        with open_image(path) as picture:
            if picture.format == "PNG" and "exif" not in picture.info:  # it would be decoded to look behind its pixels
                return False
            return orientation(picture) > 1 and picture.size == upright_size(picture) == (width, height)
    except UnreadableImageError:
        return False


def _target_ids(ref: Record) -> list[Id]:
    """The annotations that a ref points at, each once: one, several (gRefCOCO), or none (`ann_id` −1, or `no_target`)."""
    no_target = ref.fields.get("no_target", False)
    if type(no_target) is not bool:
        raise ref.wrong("no_target", "true or false")
    ids = ref.ids("ann_id")
    targets = [id_ for id_ in ids if id_ != NO_TARGET]
    if targets and (no_target or len(targets) < len(ids)):
        raise ref.refused(f"fields 'ann_id' ({shown(ref.value('ann_id'))}) and 'no_target' ({no_target}) contradict each other")
    if not ids and not no_target:
        raise ref.refused("field 'ann_id' is empty, but 'no_target' is not set")
    return list(dict.fromkeys(targets))


def _sentences(ref: Record) -> tuple[Sentence, ...]:
    sentences = [Record.of(fields, ref.file, f"{ref.name}, sentences[{place}]") for place, fields in enumerate(ref.items("sentences"))]
    if not sentences:
        raise ref.refused("field 'sentences' is empty")
    return tuple(Sentence(one.integer("sent_id"), one.text("raw" if "raw" in one.fields else "sent")) for one in sentences)
