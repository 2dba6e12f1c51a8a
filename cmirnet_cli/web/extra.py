"""Whether what only this room needs is installed. Light: the other files of the room need it to be imported."""

from __future__ import annotations

from cmirnet_cli.errors import UsageError


def require_nicegui() -> None:
    """Raise UsageError, which says how to install it, unless NiceGUI is there."""
    try:
        import nicegui  # noqa: F401
    except ImportError as error:
        raise UsageError(f"cmirnet app needs the package nicegui: {error}", hint="pip install 'cmirnet[app]'") from error
