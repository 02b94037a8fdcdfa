"""Blotting out costs what a text is long, whatever stands in it, and leaves others room."""

import asyncio
import re
import time

import pytest

from shared.kit.privacy.masking import masked, masked_each
from shared.kit.telemetry.log import TEXT_LENGTH_MAX, redact

LENGTH = 4_000
UNITS = [
    "_",
    "a",
    "好",
    "a.",
    "a+",
    "a@",
    "a@b.",
    "a@b.c+",
    "@a",
    "1 3",
    "13",
    "0571-",
    "0571-88888888-",
    "15.2 ",
    "+86(",
]


def cpu_s(text: str) -> float:
    """The least of three."""
    spent = []
    for _ in range(3):
        began_s = time.process_time()
        masked(text)
        spent.append(time.process_time() - began_s)
    return min(spent)


@pytest.mark.parametrize("unit", UNITS)
def test_four_times_the_length_is_four_times_the_work(unit: str) -> None:
    short, long = ("1234567@" + unit * (length // len(unit)) for length in (LENGTH, 4 * LENGTH))
    assert cpu_s(long) < 9 * cpu_s(short) + 0.05  # a square would be sixteen times


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a@b.cn", "***"),
        ("我的邮箱" * 50 + "zhang.san@mail.example.cn，谢谢", "***，谢谢"),
        ("a@b@c.cn", "a@***"),
        ("a@b.cn+x@y.cn", "***"),
        ("a@b.cn+x@y", "***+x@y"),
        ("a@b.cn@d.cn", "***@d.cn"),
        ("a@b.cn,c@d.cn", "***,***"),
        ("@b.cn", "@b.cn"),
        ("a@b", "a@b"),
    ],
)
def test_addresses_are_found_as_before(text: str, shown: str) -> None:
    assert masked(text) == shown


async def test_others_go_on_between_a_turns_texts() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        assert await masked_each(["@" + "_" * 1_999, "13800138000"] * 100) == ["@" + "_" * 1_999, "***"] * 100
    finally:
        counting.cancel()
    assert turns >= 40


@pytest.mark.parametrize("before", range(TEXT_LENGTH_MAX // 2 - 14, TEXT_LENGTH_MAX // 2 + 2))
def test_a_log_keeps_a_texts_begin_and_end_and_no_half_of_a_number(before: int) -> None:
    number = "138 0013 8000"
    text = "begin" + "x " * (before // 2) + " " * (before % 2) + number + " " + "y " * 50_000
    for one in (text, text[::-1].replace(number[::-1], number)):
        kept = redact(None, "", {"error": one})["error"]
        assert len(kept) < TEXT_LENGTH_MAX + 100
        assert not re.search(r"\d\d\d \d|\d \d\d\d", kept)
        assert f"{len(one)} characters" in kept
        assert kept.startswith("begin") == one.startswith("begin")
        assert kept.endswith("nigeb") == one.endswith("nigeb")
