"""How much a cache's splits hold, beside what was published about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cmirnet_cli.cache.schema import Manifest, SplitCounts
from cmirnet_cli.refer.referent import ReferDataset, Referent
from cmirnet_cli.refer.registry import PublishedCounts, belongs, legal_splits, published_counts

TOTAL = "total"


def counts_per_split(dataset: ReferDataset) -> dict[str, SplitCounts]:
    """Referents, distinct images and sentences of each split that has any, in the registry's order.

    A label that no legal split of the data set takes in is a split of its own.
    """
    by_label: dict[str, list[Referent]] = {}
    for referent in dataset.referents:
        by_label.setdefault(referent.split, []).append(referent)
    legal = legal_splits(dataset.name, dataset.split_by)
    members = {split: [one for label, some in by_label.items() if belongs(label, split) for one in some] for split in legal}
    own = {label: some for label, some in by_label.items() if not any(belongs(label, split) for split in legal)}
    return {split: _counted(referents) for split, referents in (members | own).items() if referents}


def _counted(referents: Sequence[Referent]) -> SplitCounts:
    images = {referent.image.image_id for referent in referents}
    return SplitCounts(len(referents), len(images), sum(len(referent.sentences) for referent in referents))


@dataclass(frozen=True)
class SharedImages:
    """How many of a split's images are in the split `train`, too, and one of them."""

    split: str
    shared: int
    images: int
    example: Path


def shared_with_train(dataset: ReferDataset) -> tuple[SharedImages, ...]:
    """One for each split whose scores would also be about photographs that training has seen."""
    by_split: dict[str, dict[Path, None]] = {}
    for referent in dataset.referents:
        by_split.setdefault(referent.split, {})[referent.image.path] = None
    trained = by_split.pop("train", {})
    shared = {split: [path for path in paths if path in trained] for split, paths in by_split.items()}
    return tuple(SharedImages(split, len(found), len(by_split[split]), found[0]) for split, found in shared.items() if found)


@dataclass(frozen=True)
class ComparedCounts:
    """Referents, images and sentences of a split; `published` is None where no published number is known."""

    split: str
    counts: SplitCounts
    published: PublishedCounts | None

    @property
    def differences(self) -> list[str]:
        """Such as "3 referents instead of 5,000", where both numbers are known."""
        if self.published is None:
            return []
        published = asdict(self.published)
        remarks = {name: " (unconfirmed)" for name in self.published.unconfirmed}
        return [
            f"{ours:,} {'referents' if name == 'refs' else name} instead of {published[name]:,}{remarks.get(name, '')}"
            for name, ours in asdict(self.counts).items()
            if published[name] not in (None, ours)
        ]


def compared_counts(manifest: Manifest) -> list[ComparedCounts]:
    """One for each split of a cache."""
    published = published_counts(manifest.dataset, manifest.split_by)
    return [ComparedCounts(split, counts, published.get(split)) for split, counts in manifest.counts.items()]


def count_warnings(manifest: Manifest) -> Iterator[str]:
    """One sentence for each split that is empty or whose counts are not the published ones: worth a warning, no more."""
    published = published_counts(manifest.dataset, manifest.split_by)
    refs, sentences = (sum(getattr(counts, name) for counts in manifest.counts.values()) for name in ("refs", "sentences"))
    # No total is published of refclef by unc, whose test splits overlap.
    total = SplitCounts(refs, sum(shard.images for shard in manifest.shards), sentences)
    expected = dict.fromkeys(legal_splits(manifest.dataset, manifest.split_by), SplitCounts(0, 0, 0))
    for split, counts in (expected | manifest.counts | {TOTAL: total}).items():
        if differences := ComparedCounts(split, counts, published.get(split)).differences:
            yield f"the counts of {split} differ from the published ones: {', '.join(differences)}"
        elif not counts.refs:
            yield f"{split} is empty"


def described_counts(manifest: Manifest) -> dict[str, object]:
    """Split → its counts, with those that were `published` (None where nothing is known), as plain data."""
    return {
        each.split: asdict(each.counts) | {"published": asdict(each.published) if each.published else None}
        for each in compared_counts(manifest)
    }
