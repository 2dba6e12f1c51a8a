"""A page on this machine to try a model on: images and expressions come from a browser, masks go there; nothing is written to disk."""

from __future__ import annotations

from cmirnet_cli.errors import UsageError


def require_nicegui() -> None:
    """Raise UsageError, which says how to install it, unless NiceGUI is there: the other files of this room need it to be imported."""
    try:
        import nicegui  # noqa: F401
    except ImportError as error:
        raise UsageError(f"cmirnet app needs the package nicegui: {error}", hint="pip install 'cmirnet[app]'") from error
