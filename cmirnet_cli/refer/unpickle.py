"""Pickled annotation files, read as plain data and nothing else.

REFER's annotations are Python 2 pickles that travel over unencrypted links. A pickle is a program, so it runs on a machine that
knows the instructions a pickler writes for lists, dicts, tuples, text, numbers, booleans and None. The machine is Python's own,
the one that `pickle` keeps beside its C code and that joblib and pandas build on, without the instructions that import, call,
look up extensions or ask for persistent objects.

Work and memory grow with the size of the file and with nothing else that the file says.

Two shorter ways do not work. The scanner `pickletools.genops` cannot read Python 2 text with accents before Python 3.12.8. The C
code keeps its memo in an array as long as the largest index that a file names, and hashes keys of any kind.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, NoReturn, cast

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.refer.records import read_bytes

Plain = None | bool | int | float | str | list[Any] | tuple[Any, ...] | dict[str, Any]

_PLAIN = (
    "MARK STOP PROTO FRAME NONE NEWTRUE NEWFALSE INT LONG BININT BININT1 BININT2 LONG1 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
    "EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "
    "PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET"
)
_END_IN_A_REFUSAL = "GLOBAL INST EXT1 EXT2 EXT4"
"""Instructions that call `find_class` or `get_extension`, which say what was asked for and refuse it."""

_PYTHONS_MACHINE: Any = pickle._Unpickler
_NAMES = {ord(entry.code): entry.name for entry in pickletools.opcodes}
_KEPT = {code for code, name in _NAMES.items() if name in (*_PLAIN.split(), *_END_IN_A_REFUSAL.split())}
_DAMAGED = (pickle.UnpicklingError, struct.error, EOFError, LookupError, ValueError, TypeError, AttributeError, OverflowError)
"""What the machine raises on bytes that are not a pickle."""


def read_plain_pickle(path: Path) -> Plain:
    """What the pickle at `path` holds.

    Text-mode (protocol 0) and binary pickles (up to protocol 5) are read. Python 2 strings carry no encoding: each is read as
    UTF-8, or as Latin-1 where it is not UTF-8. What follows the pickle's end is ignored, as `pickle.load` does.

    Raises:
        AnnotationError: the file is cut off, is not a pickle, or asks for anything but plain data (the refused name is given).
    """
    file = BytesIO(read_bytes(path))
    try:
        return cast(Plain, _PlainUnpickler(file).load())
    except _NotPlainError as refusal:
        raise AnnotationError(
            f"{path} is refused: before byte {file.tell()} it asks for {refusal}",
            hint="an annotation file holds lists, dicts, text and numbers only; nothing was run. If you trust its origin, "
            "save the same data as JSON next to it, as refs(<split_by>).json, and remove the .p file",
        ) from None
    except _DAMAGED as error:
        raise AnnotationError(
            f"{path} is not a readable pickle: cut off or damaged before byte {file.tell()} ({str(error) or 'the file ends here'})",
            hint="download or unpack it again and compare its size with the source's",
        ) from error


class _NotPlainError(Exception):
    """The pickle asks for more than plain data; the text names what."""


def _refuse(what: str) -> Callable[[object], NoReturn]:
    def refuse(machine: object) -> NoReturn:
        raise _NotPlainError(what)

    return refuse


def _shown(names: Iterable[object]) -> str:
    return ".".join(repr(name.strip()[:200])[1:-1] if isinstance(name, str) else "?" for name in names)


def _require_text(keys: Iterable[object]) -> None:
    """Refuse dict keys that are not text: any other could be made costly to hash."""
    for key in keys:
        if type(key) is not str:
            raise _NotPlainError(f"a dict key that is not text but of type {type(key).__name__}")


class _PlainUnpickler(_PYTHONS_MACHINE):  # type: ignore[misc]
    """Python's machine; `dispatch` says which of its instructions are left, which are replaced and which are refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _NotPlainError(f"the global {_shown((module, name))}")

    def get_extension(self, code: int) -> NoReturn:
        raise _NotPlainError(f"the registered extension {code}")

    def _decode_string(self, value: bytes) -> str:
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin-1")

    def load_frame(self) -> None:
        self.read(8)  # a frame only says how many bytes to read at once

    def load_setitem(self) -> None:
        _require_text(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        _require_text(self.stack[::2])
        super().load_setitems()

    def load_dict(self) -> None:
        _require_text(self.stack[::2])
        super().load_dict()

    def load_stack_global(self) -> NoReturn:
        raise _NotPlainError(f"the global {_shown(self.stack[-2:])}")

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **{code: _refuse(f"the instruction {bytes([code])!r}, which no pickle has") for code in range(256)},
        **{code: _refuse(f"the instruction {name}") for code, name in _NAMES.items()},
        **{code: _PYTHONS_MACHINE.dispatch[code] for code in _KEPT},
        pickle.FRAME[0]: load_frame,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
        pickle.STACK_GLOBAL[0]: load_stack_global,
        pickle.PERSID[0]: _refuse("a persistent object"),
        pickle.BINPERSID[0]: _refuse("a persistent object"),
    }
