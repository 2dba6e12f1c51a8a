"""The unpickler reads what genuine annotation files hold and cannot be made to do anything else."""

from __future__ import annotations

import codecs
import copyreg
import os
import pickle
import pickletools
import random
import re
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.refer.unpickle import read_plain_pickle
from tests.fixtures.gadget import Gadget

PLAIN = [
    {
        "ref_id": 1,
        "big": 2**40,
        "huge": -(2**100),
        "float": -1.5,
        "none": None,
        "flags": [True, False],
        "pair": (1, (2, 3), ()),
        "empty": {},
    },
    {"text": "naïve café ☃ 𝒳", "line": "a\nb\\c'\"", "numbers": [0, 255, 256, 65535, 65536, -1, 2**31 - 1]},
    {"four": (1, 2, 3, 4), "long text": "x" * 300, "many": list(range(3000))},
]


class Bystander:
    pass


def read(tmp_path: Path, content: bytes) -> object:
    path = tmp_path / "refs(x).p"
    path.write_bytes(content)
    return read_plain_pickle(path)


def error_of(tmp_path: Path, content: bytes) -> AnnotationError | None:
    """The error that reading `content` ends with, if it does."""
    try:
        read(tmp_path, content)
    except AnnotationError as error:
        return error
    return None


def refusal(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(AnnotationError) as caught:
        read(tmp_path, content)
    assert "refs(x).p" in caught.value.message
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_read_as_python_reads_it(tmp_path: Path, protocol: int) -> None:
    assert read(tmp_path, pickle.dumps(PLAIN, protocol)) == PLAIN


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numbers_keep_their_type(tmp_path: Path, protocol: int) -> None:
    values = read(tmp_path, pickle.dumps([True, 1, 1.0, 2**70], protocol))
    assert [type(value) for value in values] == [bool, int, float, int]  # type: ignore[attr-defined]


def test_the_python_2_look_alike_reads_as_the_binary_file(shared_data: Path) -> None:
    folder = shared_data / "mini_refcocog_google_val" / "refcocog"
    text_mode = read_plain_pickle(folder / "variants" / "refs(google).py2-protocol0.p")
    binary = read_plain_pickle(folder / "refs(google).p")
    assert text_mode == binary
    assert len(binary) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["coco128_refer/refcoco128/refs(template).p", "refcocos_val2017/refcocos/refs(refcocos).p"])
def test_real_files_read_as_python_reads_them(shared_data: Path, name: str) -> None:
    path = shared_data / name
    assert read_plain_pickle(path) == pickle.loads(path.read_bytes())


def test_python_2_strings_are_utf_8_or_else_latin_1(tmp_path: Path) -> None:
    text_mode = b"(lp0\nS'caf\\xc3\\xa9'\np1\naS'caf\\xe9'\np2\naS\"it's\"\na."
    binary = b"\x80\x02]q\x00(U\x05caf\xc3\xa9q\x01U\x04caf\xe9T\x04\x00\x00\x00it'se."
    assert read(tmp_path, text_mode) == read(tmp_path, binary) == ["café", "café", "it's"]


def test_what_is_shared_in_the_file_is_shared_in_memory(tmp_path: Path) -> None:
    shared = ["a"]
    first, second = read(tmp_path, pickle.dumps([shared, shared], 2))  # type: ignore[misc]
    assert first is second


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "named"),
    [(os.system, "posix.system"), (eval, "builtin"), (exec, "builtin"), (getattr, "builtin"), (codecs.encode, "_codecs.encode")],
)
def test_calls_are_refused_by_name_and_not_made(tmp_path: Path, protocol: int, function: Any, named: str) -> None:
    trace = tmp_path / "trace"
    argument = f"touch {trace}" if function is os.system else f"open({str(trace)!r}, 'w')"
    message = refusal(tmp_path, pickle.dumps([{"ref_id": Gadget(function, argument)}], protocol))
    assert named in message
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        pytest.param(b"cos\nsystem\n(S'exit 1'\ntR.", "os.system", id="GLOBAL"),
        pytest.param(b"(S'exit 1'\nios\nsystem\n.", "os.system", id="INST"),
        pytest.param(b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system", id="STACK_GLOBAL"),
        pytest.param(b"\x80\x04]}\x93.", "?.?", id="STACK_GLOBAL of no text"),
        pytest.param(b"Pline\n.", "persistent", id="PERSID"),
        pytest.param(b"\x80\x02K\x01Q.", "persistent", id="BINPERSID"),
        pytest.param(b"\x80\x02\x82\x07.", "extension 7", id="EXT1"),
        pytest.param(b"\x80\x02\x83\x07\x01.", "extension 263", id="EXT2"),
        pytest.param(b"\x80\x02\x84\x07\x00\x00\x01.", "extension 16777223", id="EXT4"),
        pytest.param(b"\x80\x02]}b.", "BUILD", id="BUILD"),
        pytest.param(b"\x80\x02])R.", "REDUCE", id="REDUCE"),
        pytest.param(b"\x80\x02])\x81.", "NEWOBJ", id="NEWOBJ"),
        pytest.param(b"\x80\x04\x8f.", "EMPTY_SET", id="EMPTY_SET"),
        pytest.param(b"\x80\x04(\x91.", "FROZENSET", id="FROZENSET"),
        pytest.param(b"\x80\x03C\x01a.", "SHORT_BINBYTES", id="bytes"),
        pytest.param(b"\x80\x05\x97.", "NEXT_BUFFER", id="NEXT_BUFFER"),
        pytest.param(b"\x80\x02}(K\x01K\x02u.", "dict key", id="a key that is no text"),
        pytest.param(b"<!DOCTYPE html>", "no pickle has", id="a web page"),
    ],
)
def test_every_other_instruction_is_refused(tmp_path: Path, content: bytes, named: str) -> None:
    assert named in refusal(tmp_path, content)


PLAIN_OPCODES = frozenset(
    re.findall(
        r"\w+",
        "MARK STOP INT LONG BININT BININT1 BININT2 LONG1 FLOAT BINFLOAT NONE NEWTRUE NEWFALSE PROTO FRAME "
        "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
        "EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "
        "PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET",
    )
)
"""What a pickler writes for lists, dicts, tuples, text, numbers, booleans and None."""


@pytest.mark.parametrize("opcode", pickletools.opcodes, ids=lambda opcode: opcode.name)
def test_of_all_instructions_that_python_knows_only_those_for_plain_data_exist(tmp_path: Path, opcode: pickletools.OpcodeInfo) -> None:
    error = error_of(tmp_path, b"]}](" + opcode.code.encode("latin-1") + 20 * b".")
    refused = error is not None and "it asks for" in error.message
    assert refused == (opcode.name not in PLAIN_OPCODES)


def test_instances_of_classes_are_refused_by_name(tmp_path: Path) -> None:
    assert "Bystander" in refusal(tmp_path, pickle.dumps([Bystander()], 2))


def test_an_extension_that_this_process_knows_is_refused_all_the_same(tmp_path: Path) -> None:
    copyreg.add_extension("os", "system", 0xF0)
    try:
        content = pickle.dumps(os.system, 2).replace(b"cposix\nsystem\n", b"\x82\xf0")
        assert "extension 240" in refusal(tmp_path, content + b"\x82\xf0.")
    finally:
        copyreg.remove_extension("os", "system", 0xF0)


def test_a_cut_off_file_is_an_error_wherever_it_ends(tmp_path: Path) -> None:
    for protocol in (0, 2, 4):
        whole = pickle.dumps(PLAIN[1:2], protocol)
        for end in range(len(whole) - 1):
            refusal(tmp_path, whole[:end])


def test_damaged_bytes_give_plain_data_or_an_error(tmp_path: Path) -> None:
    rng = random.Random(0)
    for protocol in (0, 2, 4):
        whole = pickle.dumps(PLAIN[:2], protocol)
        for _ in range(300):
            damaged = bytearray(whole)
            for _ in range(rng.randint(1, 3)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            error = error_of(tmp_path, bytes(damaged))
            assert error is None or error.hint


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x80\x02]r\xff\xff\xff\xff.", id="a memo index of 32 bits is stored sparsely"),
        pytest.param(b"\x80\x02X\xff\xff\xff\xffabc.", id="4 GB of text announced"),
        pytest.param(b"\x80\x04\x8d" + b"\xff" * 8 + b"abc.", id="2^64 bytes of text announced"),
        pytest.param(b"\x80\x04\x95" + b"\xff" * 8 + b"].", id="a frame of 2^64 bytes"),
        pytest.param(b"]p" + b"9" * 5000 + b"\n.", id="a memo index of 5,000 digits"),
        pytest.param(b"I" + b"9" * 100_000 + b"\n.", id="an integer of 100,000 digits"),
        pytest.param(b"\x80\xff].", id="protocol 255"),
        pytest.param(b"(" * 1_000_000 + b".", id="a million marks"),
        pytest.param(b"\x80\x02" + b"}U\x01a" * 200_000 + b"N" + b"s" * 200_000 + b".", id="nested 200,000 deep"),
        pytest.param(b"\x80\x02)" + b"q\x00h\x00\x86" * 50 + b".", id="2^50 tuples that share themselves"),
    ],
)
def test_hostile_sizes_end_and_cost_no_more_memory_than_the_file_is_large(tmp_path: Path, content: bytes) -> None:
    tracemalloc.start()
    try:
        error = error_of(tmp_path, content)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error is None or len(error.message) < 500
    assert most < 100 * len(content) + (1 << 20)


def test_what_lies_behind_the_end_is_not_looked_at(tmp_path: Path) -> None:
    assert read(tmp_path, pickle.dumps([1], 2) + b"cos\nsystem\n") == [1]


def test_floats_are_read_bit_for_bit(tmp_path: Path) -> None:
    value = struct.unpack(">d", b"\x3f\xf1\x23\x45\x67\x89\xab\xcd")[0]
    assert read(tmp_path, pickle.dumps(value, 0)) == read(tmp_path, pickle.dumps(value, 2)) == value


def test_a_file_that_is_not_there_is_an_annotation_error(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="cannot be read: No such file"):
        read_plain_pickle(tmp_path / "absent.p")
