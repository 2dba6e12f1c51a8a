"""What `cmirnet predict` is asked: from what was typed to questions, photo by photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmirnet_cli.errors import UsageError

if TYPE_CHECKING:
    from cmirnet_cli.engine.prediction.photos import PhotoFile
    from cmirnet_cli.engine.prediction.queries import ImageQuery

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class PredictRequest:
    """Where photos and expressions come from, as typed.

    Raises:
        UsageError: it stays open what is asked about what, or standard input would be read twice.
    """

    inputs: Sequence[str]
    expressions: Sequence[str]
    expression_file: str | None
    pairs: str | None
    recursive: bool

    def __post_init__(self) -> None:
        if [*self.inputs, self.expression_file, self.pairs].count(STANDARD_INPUT) > 1:
            raise UsageError("standard input (-) can be read once only", hint="write the other lists to files")
        if not self.inputs and not self.pairs:
            raise UsageError("there is nothing to look at", hint="give an INPUT with -e, or --pairs")
        said = bool(self.expressions or self.expression_file)
        if self.inputs and not said:
            raise UsageError("what is to be found?", hint="add -e or --expressions")
        if said and not self.inputs:
            raise UsageError("-e and --expressions need an INPUT", hint="name images, or leave them out beside --pairs")

    @property
    def reads_standard_input(self) -> bool:
        """Whether one of the lists comes from there."""
        return STANDARD_INPUT in [*self.inputs, self.expression_file, self.pairs]


def queries_of(asked: PredictRequest, out: Path) -> Sequence[ImageQuery]:
    """One question for each photo, in order; the folder that results go to is not searched for photos.

    Raises:
        DataError: an input names nothing, or a list cannot be read.
        UsageError: an expression is empty.
    """
    from cmirnet_cli.engine.prediction.photos import listed_photo
    from cmirnet_cli.engine.prediction.queries import image_queries
    from cmirnet_cli.refer.pairs import read_lines, read_pairs

    expressions = [*asked.expressions, *(read_lines(asked.expression_file) if asked.expression_file else [])]
    pairs = read_pairs(asked.pairs) if asked.pairs else []
    return image_queries(_photos(asked, out), expressions, ((listed_photo(pair.path, pair.written), pair.expression) for pair in pairs))


def _photos(asked: PredictRequest, out: Path) -> Sequence[PhotoFile]:
    from cmirnet_cli.engine.prediction.photos import find_photos, listed_photo
    from cmirnet_cli.refer.pairs import read_lines

    found = find_photos([each for each in asked.inputs if each != STANDARD_INPUT], recursive=asked.recursive, but=out)
    listed = map(Path, read_lines(STANDARD_INPUT)) if STANDARD_INPUT in asked.inputs else ()
    return [*found, *(listed_photo(path, path) for path in listed)]
