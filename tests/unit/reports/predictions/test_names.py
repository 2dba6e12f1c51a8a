"""Names of prediction files: readable, safe everywhere, and never the same for two things."""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path

import pytest

from cmirnet_cli.reports.predictions.names import mask_name, safe_part, slug

ALPHABET = ["a", "A", "b", " ", "-", "_", ".", ":", "é", "e\u0301", "ß", "杯", "🍎", "ك", "ſ", "\udce9", "\n", "0"]


def test_plain_words_are_readable_and_carry_nothing_else():
    assert mask_name(Path("kitchen/cup.jpg"), "the red cup") == Path("kitchen/cup.jpg.the-red-cup.png")


@pytest.mark.parametrize(
    ("text", "readable"), [("The red cup!", "the-red-cup"), ("🍎", "expression"), ("a-b", "a-b"), ("x" * 500, "x" * 60)]
)
def test_what_a_name_cannot_say_is_said_by_a_digest(text: str, readable: str):
    assert re.fullmatch(re.escape(readable) + "_[0-9a-f]{10}", slug(text))


@pytest.mark.parametrize(("text", "name"), [("красная чашка", "красная-чашка"), ("الكوب الأحمر", "الكوب-الأحمر"), ("लाल कप", "लाल-कप")])
def test_words_of_any_script_stay_words(text: str, name: str):
    assert slug(text) == name


def test_no_two_short_expressions_or_files_share_a_name_even_where_capitals_do_not_count():
    texts = ["".join(letters) for length in (1, 2, 3) for letters in itertools.product(ALPHABET, repeat=length)]
    assert len({slug(text).casefold() for text in texts}) == len(texts)
    files = [text for text in texts if text not in (".", "..")]
    assert len({safe_part(text) for text in files}) == len(files)


def test_a_file_that_looks_like_a_marked_one_gets_a_mark_of_its_own():
    assert safe_part("a:b") != safe_part(safe_part("a:b"))


def test_long_ones_that_differ_at_the_end_have_different_names():
    assert mask_name(Path("a.jpg"), "x" * 200 + "1") != mask_name(Path("a.jpg"), "x" * 200 + "2")
    assert mask_name(Path("x" * 200 + "1"), "a") != mask_name(Path("x" * 200 + "2"), "a")


def test_names_are_safe_on_every_file_system():
    pick = random.Random(0)
    letters = [chr(pick.choice([pick.randrange(1, 128), pick.randrange(1, 0x3000), pick.randrange(0x10000, 0x1F900)])) for _ in range(4000)]
    for length in (1, 5, 30, 250):
        for _ in range(100):
            photo, text = ("".join(pick.choices(letters, k=length)).replace("/", "") or "a" for _ in range(2))
            name = mask_name(Path("folder") / photo.replace("\0", ""), text).name
            assert len(name.encode("utf-8")) <= 255 - len(".cmirnet-.tmp")
            assert not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', name)
            assert name[-1] not in ". "


@pytest.mark.parametrize("name", ["con.jpg", "NUL", "com1.tar.gz", "aux", "lpt9.png"])
def test_names_that_windows_keeps_for_devices_are_avoided(name: str):
    assert not re.match(r"(con|nul|com\d|aux|lpt\d)(\.|$)", mask_name(Path(name), "cup").name, re.IGNORECASE)


def test_folders_are_mirrored_and_made_safe():
    name = mask_name(Path("holiday 2024/a:b/cup.jpg"), "cup")
    assert name.parts[0] == "holiday 2024"
    assert re.fullmatch(r"a-b_[0-9a-f]{10}", name.parts[1])
