"""Commands of ours in processes of their own, as a user would run them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from cmirnet_cli.console import console
from cmirnet_cli.errors import CmirnetError


def announced(words: Sequence[str]) -> list[str]:
    """Say what is run as it would be typed; the words that run it with this Python, quiet where this process is."""
    console.notice(f"\n$ {shlex.join(['cmirnet', *words])}")
    return [sys.executable, "-m", "cmirnet_cli", *words, *(["--quiet"] if console.quiet else [])]


def require_success(words: Sequence[str], code: int) -> None:
    """Refuse to go on after a command that failed.

    Raises:
        CmirnetError: it ended with another code than 0.
    """
    if code:
        raise CmirnetError(f"cmirnet {words[0]} ended with code {code}", hint="mend what it says above, and start again")
