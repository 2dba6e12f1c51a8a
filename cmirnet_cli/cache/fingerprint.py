"""Which cache a data set and the user's choices make: the digest of everything that shapes it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from cmirnet_cli.cache.check_images import ALL_GOOD, CheckedImages
from cmirnet_cli.cache.schema import SCHEMA_VERSION, CacheOptions, Fingerprint, digest_of
from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.files import sha256_of
from cmirnet_cli.images.pixels import decoder, unreadable_file
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent


def fingerprint_of(dataset: ReferDataset, options: CacheOptions, checked: CheckedImages = ALL_GOOD) -> Fingerprint:
    """All that shapes the cache of `dataset`. Every image is read, none is decoded.

    Args:
        dataset: what is to be cached.
        options: how.
        checked: what `check_images` found; `dataset` no longer has the bad images.

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
        referents=_digest_all(map(_digest_of_referent, dataset.referents)),
        images=_digest_all(map(_digest_of_image, dataset.images)),
        skipped=tuple(sorted(path.name for path in checked.bad_files)),
        decoder=decoder() + (f", {len(checked.scaled)} of 16 bits scaled by their own range" if checked.scaled else ""),
    )


def _digest_all(digests: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for one in digests:
        digest.update(one.encode())
    return digest.hexdigest()


def _digest_of_referent(referent: Referent) -> str:
    sentences = [[sentence.sent_id, sentence.text] for sentence in referent.sentences]
    facts = [referent.ref_id, referent.split, str(referent.image.image_id), referent.category, referent.objects, sentences]
    try:
        return digest_of(facts)
    except RecursionError as error:
        message = f"ref {referent.ref_id}: its outline is nested too deeply"
        raise AnnotationError(message, hint="correct it in the annotation file") from error


def _digest_of_image(image: ImageRecord) -> str:
    try:
        content = sha256_of(image.path)
    except OSError as error:
        raise unreadable_file(image.path, error) from error
    return digest_of([str(image.image_id), image.path.name, image.height, image.width, image.upright, content])
