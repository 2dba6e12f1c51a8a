"""From a data set and the user's choices to the `Fingerprint` of the cache they make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cmirnet_cli.cache.picture import decoder, source_digest
from cmirnet_cli.cache.schema import SCHEMA_VERSION, CacheOptions, Fingerprint, digest_of
from cmirnet_cli.durable import sha256_of
from cmirnet_cli.errors import AnnotationError, DataError
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent


def without(dataset: ReferDataset, skip: frozenset[Path]) -> ReferDataset:
    """The data set less every referent whose image file is in `skip`.

    Raises:
        DataError: nothing is left.
    """
    kept = tuple(referent for referent in dataset.referents if referent.image.path not in skip)
    if not kept:
        raise DataError(f"{dataset.name} has no referent to cache", hint="check the annotation file and the images that were left out")
    return replace(dataset, referents=kept)


def fingerprint_of(dataset: ReferDataset, options: CacheOptions, skip: frozenset[Path] = frozenset()) -> Fingerprint:
    """All that shapes the cache of `dataset`, from which `skip` was already taken out. Every image is read, none is decoded.

    Raises:
        ImageError: an image file cannot be read.
        AnnotationError: an outline cannot be one.
    """
    return Fingerprint(
        schema_version=SCHEMA_VERSION,
        dataset=dataset.name,
        split_by=dataset.split_by,
        options=options,
        annotation_files=tuple((f"{path.parent.name}/{path.name}", sha256_of(path)) for path in dataset.annotation_files),
        referents=_digest_all(_digest_of_referent(referent) for referent in dataset.referents),
        images=_digest_all(digest_of(_image_facts(image)) for image in dataset.images),
        skipped=tuple(sorted(path.name for path in skip)),
        decoder=decoder(),
    )


def _digest_all(digests: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for one in digests:
        digest.update(one.encode())
    return digest.hexdigest()


def _digest_of_referent(referent: Referent) -> str:
    try:
        return digest_of(_facts(referent))
    except RecursionError as error:
        raise AnnotationError(
            f"ref {referent.ref_id}: its outline is nested too deeply", hint="correct it in the annotation file"
        ) from error


def _facts(referent: Referent) -> list[Any]:
    sentences = [[sentence.sent_id, sentence.text] for sentence in referent.sentences]
    return [referent.ref_id, referent.split, str(referent.image.image_id), referent.category, referent.objects, sentences]


def _image_facts(image: ImageRecord) -> list[Any]:
    return [str(image.image_id), image.path.name, image.height, image.width, image.upright, source_digest(image.path)]
