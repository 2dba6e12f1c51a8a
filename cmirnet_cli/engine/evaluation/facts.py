"""What a cache knows of the referents of a split: how large they are, of which category, and beside how many of their kind."""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.metrics.sentences import ReferentStats


def referent_stats(cache: Cache, split: str) -> dict[int, ReferentStats]:
    """`ref_id` → facts, for every referent of a split.

    A distractor is another mask that a referent of the same image and category has, in whatever split; two referents with one mask are
    one object. Where referents are several objects at once (gRefCOCO), each combination counts as one, so the number is a rough one.
    """
    asked = set(cache.referents(split).tolist())
    images = {cache.referent(row).image_row for row in asked}
    facts: dict[int, tuple[int, str, tuple[int, str], bytes]] = {}
    objects: dict[tuple[int, str], set[bytes]] = defaultdict(set)
    for row in sorted({row for each in cache.splits for row in cache.referents(each).tolist()}):
        referent = cache.referent(row)
        if referent.image_row not in images:
            continue
        mask = cache.mask(row, None)
        kind, outline = (referent.image_row, referent.category), blake2b(mask.tobytes(), digest_size=16).digest()
        objects[kind].add(outline)
        if row in asked:
            facts[referent.ref_id] = int(mask.sum()), referent.category, kind, outline
    return {
        ref_id: ReferentStats(area, category, len(objects[kind] - {outline})) for ref_id, (area, category, kind, outline) in facts.items()
    }
