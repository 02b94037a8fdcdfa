"""Photos' pixels are read a few at a time: each is whole in memory."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import obstore
import pytest

from services.intake.store.objects import READS_AT_ONCE, PhotoObjects


async def test_few_are_read_at_once_and_all_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects, photo_id = PhotoObjects(f"file://{tmp_path}"), uuid4()
    await objects.put(photo_id, b"large", b"small")
    read, under_way, most = obstore.get_async, 0, 0

    async def slowly(*what: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        try:
            return await read(*what)
        finally:
            under_way -= 1

    monkeypatch.setattr(obstore, "get_async", slowly)
    found = await asyncio.gather(*(objects.get(photo_id, "full") for _ in range(5 * READS_AT_ONCE)))
    assert found == [b"large"] * 5 * READS_AT_ONCE
    assert most == READS_AT_ONCE
