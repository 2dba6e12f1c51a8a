"""Expressions that belong to one photograph: from its row of a parquet file or its sample in an archive."""

from __future__ import annotations

from cmirnet_cli.engine.prediction.queries import checked_expression
from cmirnet_cli.errors import ImageError, UsageError


def with_own(common: tuple[str, ...], own: object, where: str, field: str) -> tuple[str, ...] | ImageError:
    """The expressions for all images, then an image's own, each once. If there are none at all, that is a problem.

    Args:
        common: those for all images.
        own: a text, a list of texts, or anything else for none.
        where: the image, for the problem.
        field: where its own were looked for.
    """
    texts = [own] if isinstance(own, str) else own if isinstance(own, list) else []
    given = [text for text in texts if isinstance(text, str) and text.strip()]
    try:
        found = tuple(dict.fromkeys([*common, *map(checked_expression, given)]))
    except UsageError as error:
        return ImageError(f"{where}: {error}", hint=error.hint)
    return found or ImageError(f"{where} has no expression: {field!r} holds no text", hint="add -e TEXT, or name another field with --text")
