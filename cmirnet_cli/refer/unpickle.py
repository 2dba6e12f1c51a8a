"""Pickled annotation files, read by a machine that can build plain data and nothing else.

REFER's annotations are Python 2 pickles that travel over unencrypted links. A pickle is a program, so this module runs it on
a machine of its own that knows the instructions a pickler writes for lists, dicts, tuples, text, numbers, booleans and None.
The instructions that import, call, look up extensions or ask for persistent objects do not exist here: meeting one is an error.
Work and memory grow with the size of the file and with nothing else that the file says.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, cast

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.refer.records import read_bytes

Plain = None | bool | int | float | str | list[Any] | tuple[Any, ...] | dict[str, Any]

_NEWEST_PROTOCOL = 5
_MEMO_INDEX_LIMIT = 1 << 32
_STOP = b"."
_BOOLEANS = {b"00\n": False, b"01\n": True}
_EXTENSION_WIDTHS = {b"\x82": 1, b"\x83": 2, b"\x84": 4}
_ONLY_PLAIN_DATA = (
    "an annotation file holds lists, dicts, text and numbers only; nothing was run. "
    "If you trust its origin, save the same data as JSON beside it, as refs(<split_by>).json, and take the .p file away"
)


def read_plain_pickle(path: Path) -> Plain:
    """What the pickle at `path` holds.

    Text-mode (protocol 0) and binary pickles (up to protocol 5) are read. Python 2 strings carry no encoding: each is read as
    UTF-8, or as Latin-1 where it is no UTF-8. What lies behind the pickle's end is not looked at, as `pickle.load` does.

    Raises:
        AnnotationError: the file is cut off, is no pickle, or asks for anything but plain data (the refused name is given).
    """
    machine = _Machine(read_bytes(path))
    try:
        return machine.run()
    except _NotPlainError as refused:
        raise AnnotationError(f"{path} is refused: before byte {machine.position()} it asks for {refused}", hint=_ONLY_PLAIN_DATA) from None
    except (IndexError, KeyError, ValueError, OverflowError) as error:
        raise AnnotationError(
            f"{path} is not a readable pickle: cut off or damaged before byte {machine.position()} ({error})",
            hint="download or unpack it again and compare its size with the source's",
        ) from error


class _NotPlainError(Exception):
    """The pickle asks for more than plain data; the text names what."""


class _Machine:
    """The stack machine of the pickle format. `marked` holds the stacks that lie below the open marks."""

    def __init__(self, data: bytes) -> None:
        file = BytesIO(data)
        self.read = file.read
        self.line = file.readline
        self.position = file.tell
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Plain:
        while (opcode := self.read(1)) != _STOP:
            action = _ACTIONS.get(opcode)
            if action is None:
                raise _NotPlainError(self.name_refused(opcode))
            action(self)
        return cast(Plain, self.stack.pop())

    # What instructions are made of

    def take(self, count: int) -> bytes:
        piece = self.read(count)
        if len(piece) < count:
            raise ValueError(f"{count} bytes announced, {len(piece)} left")
        return piece

    def unsigned(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def pop_to_mark(self) -> list[Any]:
        above = self.stack
        self.stack = self.marked.pop()
        return above

    def top_list(self) -> list[Any]:
        top = self.stack[-1]
        if type(top) is not list:
            raise ValueError(f"a list was to be filled, but a {type(top).__name__} lies there")
        return top

    def top_dict(self) -> dict[str, Any]:
        top = self.stack[-1]
        if type(top) is not dict:
            raise ValueError(f"a dict was to be filled, but a {type(top).__name__} lies there")
        return top

    def name_refused(self, opcode: bytes) -> str:
        """In words: what the instruction `opcode`, which is not among ours, would have done."""
        if opcode == b"":
            raise ValueError("the file ends here")
        if opcode in {b"c", b"i"}:
            return "the global " + ".".join(_shown(_python2_text(self.line())) for _ in range(2))
        if opcode == b"\x93":
            return "the global " + ".".join(_shown(name) for name in self.stack[-2:])
        if opcode in _EXTENSION_WIDTHS:
            return f"the registered extension {self.unsigned(_EXTENSION_WIDTHS[opcode])}"
        if opcode in {b"P", b"Q"}:
            return "a persistent object"
        return f"the instruction {_instruction_name(opcode)}"

    # Instructions

    def protocol(self) -> None:
        protocol = self.unsigned(1)
        if protocol > _NEWEST_PROTOCOL:
            raise ValueError(f"pickle protocol {protocol}; {_NEWEST_PROTOCOL} is the newest known")

    def frame(self) -> None:
        self.take(8)

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def text_integer(self) -> None:
        digits = self.line()
        self.stack.append(_BOOLEANS[digits] if digits in _BOOLEANS else int(digits))

    def short_long(self) -> None:
        self.stack.append(int.from_bytes(self.take(self.unsigned(1)), "little", signed=True))

    def quoted_string(self) -> None:
        quoted = self.line().rstrip()
        if len(quoted) < 2 or quoted[0] != quoted[-1] or quoted[0] not in b"'\"":
            raise ValueError("a string without its quotes")
        self.stack.append(_python2_text(codecs.escape_decode(quoted[1:-1])[0]))

    def extend_list(self) -> None:
        items = self.pop_to_mark()
        self.top_list().extend(items)

    def append_to_list(self) -> None:
        item = self.stack.pop()
        self.top_list().append(item)

    def make_list(self) -> None:
        items = self.pop_to_mark()
        self.stack.append(items)

    def make_dict(self) -> None:
        items = self.pop_to_mark()
        self.stack.append(_pairs(items))

    def update_dict(self) -> None:
        items = self.pop_to_mark()
        self.top_dict().update(_pairs(items))

    def set_in_dict(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self.top_dict()[_checked_key(key)] = value

    def make_tuple_to_mark(self) -> None:
        items = self.pop_to_mark()
        self.stack.append(tuple(items))

    def make_tuple(self, count: int) -> None:
        items = tuple(self.stack[-count:])
        if len(items) < count:
            raise IndexError("the stack is empty")
        del self.stack[-count:]
        self.stack.append(items)

    def put_text(self) -> None:
        index = int(self.line())
        if not 0 <= index < _MEMO_INDEX_LIMIT:
            raise ValueError("a memo index out of all bounds")
        self.memo[index] = self.stack[-1]

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def get_text(self) -> None:
        self.stack.append(self.memo[int(self.line())])

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])


def _pairs(items: list[Any]) -> dict[str, Any]:
    """Keys and values that lie one after the other, as a dict."""
    return dict(zip(map(_checked_key, items[::2]), items[1::2], strict=True))


def _checked_key(key: object) -> str:
    """`key` if it is text; any other could be made costly to hash."""
    if type(key) is not str:
        raise _NotPlainError(f"a dict key that is no text but of type {type(key).__name__}")
    return key


def _python2_text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _python3_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _shown(name: object) -> str:
    return repr(name.strip()[:200])[1:-1] if isinstance(name, str) else "?"


def _instruction_name(opcode: bytes) -> str:
    import pickletools

    known = {entry.code.encode("latin-1"): entry.name for entry in pickletools.opcodes}
    return known.get(opcode, f"{opcode!r}, which no pickle has")


def _constant(value: object) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(value)


def _counted(width: int, decode: Callable[[bytes], str]) -> Callable[[_Machine], None]:
    """Text behind its own byte count of `width` bytes."""
    return lambda machine: machine.stack.append(decode(machine.take(machine.unsigned(width))))


_ACTIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _Machine.protocol,
    b"\x95": _Machine.frame,
    b"(": _Machine.mark,
    b"N": _constant(None),
    b"\x88": _constant(True),
    b"\x89": _constant(False),
    b"I": _Machine.text_integer,
    b"L": lambda machine: machine.stack.append(int(machine.line().rstrip(b"L\n"))),
    b"J": lambda machine: machine.stack.append(int.from_bytes(machine.take(4), "little", signed=True)),
    b"K": lambda machine: machine.stack.append(machine.unsigned(1)),
    b"M": lambda machine: machine.stack.append(machine.unsigned(2)),
    b"\x8a": _Machine.short_long,
    b"F": lambda machine: machine.stack.append(float(machine.line())),
    b"G": lambda machine: machine.stack.append(struct.unpack(">d", machine.take(8))[0]),
    b"S": _Machine.quoted_string,
    b"T": _counted(4, _python2_text),
    b"U": _counted(1, _python2_text),
    b"V": lambda machine: machine.stack.append(machine.line()[:-1].decode("raw-unicode-escape")),
    b"X": _counted(4, _python3_text),
    b"\x8c": _counted(1, _python3_text),
    b"\x8d": _counted(8, _python3_text),
    b"]": lambda machine: machine.stack.append([]),
    b"l": _Machine.make_list,
    b"a": _Machine.append_to_list,
    b"e": _Machine.extend_list,
    b"}": lambda machine: machine.stack.append({}),
    b"d": _Machine.make_dict,
    b"s": _Machine.set_in_dict,
    b"u": _Machine.update_dict,
    b")": _constant(()),
    b"t": _Machine.make_tuple_to_mark,
    b"\x85": lambda machine: machine.make_tuple(1),
    b"\x86": lambda machine: machine.make_tuple(2),
    b"\x87": lambda machine: machine.make_tuple(3),
    b"p": _Machine.put_text,
    b"q": lambda machine: machine.put(machine.unsigned(1)),
    b"r": lambda machine: machine.put(machine.unsigned(4)),
    b"\x94": lambda machine: machine.put(len(machine.memo)),
    b"g": _Machine.get_text,
    b"h": lambda machine: machine.get(machine.unsigned(1)),
    b"j": lambda machine: machine.get(machine.unsigned(4)),
}
