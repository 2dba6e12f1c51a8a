"""What `cmirnet predict` says of expressions and images, wherever they are and wherever masks go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cmirnet_cli.console import console
from cmirnet_cli.errors import counted

if TYPE_CHECKING:
    from cmirnet_cli.images.depth import Range

SHOWN_LETTERS = 60
NOTHING_FOUND = "the weights may need more training, or --threshold or --min-score is too high"


def tell_of_expressions(expressions: Sequence[str], cut: Sequence[str], unknown: Sequence[str], tokens: int) -> None:
    """Name expressions that the network reads in part, or not at all."""
    for named, one, several in (
        (cut, *(f"{were} cut at {tokens} tokens, as the network reads no more" for were in ("was", "were"))),
        (
            unknown,
            "has no word that the tokenizer knows, so its mask means nothing",
            "have no word that the tokenizer knows, so their masks mean nothing",
        ),
    ):
        if named:
            what = one if len(named) == 1 else several
            subject = "the expression" if len(expressions) == 1 else f"{len(named):,} of {len(expressions):,} expressions"
            shown = named[0] if len(named[0]) <= SHOWN_LETTERS else f"{named[0][:SHOWN_LETTERS]}…"
            console.notice(f"{subject} {what}: {shown}")


def tell_of_ranges(count: int, first: tuple[str, Range]) -> None:
    """Say how many images of 16 bits were scaled, and how the first of them was."""
    from cmirnet_cli.images.depth import scaled_in_words

    console.notice(f"{scaled_in_words(count, *first)}; --no-range takes them as they are")


def lines_of_result(masks: int, empty: int, images: int, where: object, *, skipped: int, broken: int) -> list[str]:
    """What came of the images that could be read, and what did not."""
    none_found = f"{'all of them' if masks > 1 else 'and it is'} empty: {NOTHING_FOUND}" if empty == masks else f"{empty:,} of them empty"
    return [
        f"{counted(masks, 'mask')} of {counted(images, 'image')} in {where}" + (f", {none_found}" if empty else ""),
        *([f"{counted(skipped, 'image')} finished before"] if skipped else []),
        *([f"{counted(broken, 'image')} could not be read"] if broken else []),
    ]
