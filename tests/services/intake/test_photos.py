"""Photos: kept once, purged when unused, never an object without a row."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import obstore
import pytest

from services.intake.store import photos as store
from services.intake.store.objects import PhotoObjects, StoreUnavailable
from services.intake.usecases import leaving
from services.intake.usecases.imaging import PhotoWorkers
from services.intake.usecases.photos import Photos
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.privacy.erasure import Erasure, Leaver
from tests.services.intake.conftest import Intake, report
from tests.services.intake.test_imaging import encoded, picture
from tests.support import rider_id

OWNER = f"person:{rider_id('r1')}"

UNUSED_HOURS = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "photos"


@pytest.fixture
def photos(intake: Intake, folder: Path) -> Photos:
    return Photos(
        lambda: intake.pool,
        PhotoObjects(f"file://{folder}"),
        PhotoWorkers(1, 4, memory_mb=384, seconds=10),
        UNUSED_HOURS,
    )


def objects(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


async def age(intake: Intake) -> None:
    await intake.pool.execute(
        "UPDATE photos SET uploaded_at = uploaded_at - $1::interval", timedelta(hours=UNUSED_HOURS, minutes=1)
    )


async def test_kept_once_per_owner(photos: Photos, intake: Intake, folder: Path) -> None:
    content = encoded(picture(), "JPEG")
    first, fresh = await photos.keep(OWNER, content)
    again, repeated = await photos.keep(OWNER, content)
    other, others = await photos.keep("company:sf-express", content)
    assert (fresh, repeated, others) == (True, False, True)
    assert first.photo_id == again.photo_id != other.photo_id and first.sha256 == other.sha256
    assert objects(folder) == 4
    assert (await photos.objects.get(first.photo_id, "thumbnail")).startswith(b"\xff\xd8")
    with pytest.raises(FileNotFoundError):
        await photos.objects.get(new_id(), "full")


async def test_an_upload_that_broke_off_is_finished_by_the_next(photos: Photos, intake: Intake, folder: Path) -> None:
    working = photos.objects

    class Broken(PhotoObjects):
        async def put(self, *_: object) -> None:
            raise StoreUnavailable("planted")

    photos.objects = Broken("memory:///")
    content = encoded(picture(), "JPEG")
    with pytest.raises(StoreUnavailable):
        await photos.keep(OWNER, content)
    photos.objects = working
    record, fresh = await photos.keep(OWNER, content)
    assert fresh and await intake.pool.fetchval("SELECT count(*) FROM photos") == 1
    assert (await working.get(record.photo_id, "full")).startswith(b"\xff\xd8")


async def test_unused_photos_go_after_a_day_and_used_ones_stay(photos: Photos, intake: Intake, folder: Path) -> None:
    used, _ = await photos.keep(OWNER, encoded(picture(), "JPEG"))
    unused, _ = await photos.keep(OWNER, encoded(picture(100, 100), "JPEG"))
    assert await photos.purge() == 0
    assert await intake.take([report(photos=[str(used.photo_id)])]) == []
    await age(intake)
    assert await photos.purge() == 1 and await photos.purge() == 0
    assert objects(folder) == 2
    async with intake.pool.acquire() as conn:
        assert await store.photo(conn, unused.photo_id) is None
        assert await store.photo(conn, used.photo_id) is not None
    assert [one.code for one in await intake.take([report("n2", photos=[str(unused.photo_id)])])] == ["unknown_photo"]


async def test_a_purge_that_broke_off_is_finished(photos: Photos, intake: Intake, folder: Path) -> None:
    content = encoded(picture(), "JPEG")
    record, _ = await photos.keep(OWNER, content)
    await age(intake)
    async with intake.pool.acquire() as conn:
        await store.mark_orphans(conn, timedelta(hours=UNUSED_HOURS), 10)
    again, fresh = await photos.keep(OWNER, content)
    assert fresh and again.photo_id != record.photo_id
    assert await photos.purge() == 1
    assert objects(folder) == 2 and await intake.pool.fetchval("SELECT count(*) FROM photos") == 1


class Held(PhotoObjects):
    """A store in which one photo is under a legal hold."""

    held: UUID

    async def delete(self, photo_id: UUID) -> None:
        if photo_id == self.held:
            raise StoreUnavailable("AccessDenied")
        await super().delete(photo_id)


async def test_a_photo_that_can_not_be_deleted_holds_up_nobody_elses(
    photos: Photos, intake: Intake, folder: Path
) -> None:
    store_ = photos.objects = Held(f"file://{folder}")
    await intake.rider("r2")
    held, _ = await photos.keep(OWNER, encoded(picture(), "JPEG"))
    theirs, _ = await photos.keep("company:sf-express", encoded(picture(96, 96), "JPEG"))
    unused, _ = await photos.keep("company:suda", encoded(picture(32, 32), "JPEG"))
    store_.held = held.photo_id
    used = [report("n1", photos=[str(held.photo_id)]), report("n2", rider="r2", photos=[str(theirs.photo_id)])]
    assert await intake.take(used) == []
    await age(intake)
    erasure = Erasure(lambda: intake.pool, 0.0, leaving.forget, photos.purge_erased)
    for name in ("r1", "r2"):
        async with intake.pool.acquire() as conn, conn.transaction():
            await erasure.take(conn, [Leaver(rider_id(name), f"erased:{name}", clock.now())])
    assert await erasure.settle() == 1
    assert await intake.pool.fetchval("SELECT rider_id FROM erased_riders WHERE done_at IS NOT NULL") == rider_id("r2")
    assert await photos.purge() == 1, "what nobody uses goes as well"
    left = await intake.pool.fetch("SELECT photo_id, leaver, tries, next_try_at > now() AS later FROM photos")
    assert [tuple(row) for row in left] == [(held.photo_id, rider_id("r1"), 1, True)]
    assert unused.photo_id != held.photo_id and objects(folder) == 2
    async with intake.pool.acquire() as conn:
        assert await store.refused(conn) == 1
    store_.held = new_id()
    await intake.pool.execute("UPDATE photos SET next_try_at = now()")
    await intake.pool.execute("UPDATE erased_riders SET next_try_at = now()")
    assert await erasure.settle() == 1 and objects(folder) == 0


async def test_an_upload_that_was_going_already_is_waited_for_too(photos: Photos, intake: Intake, folder: Path) -> None:
    store_ = photos.objects = Held(f"file://{folder}")
    unused, _ = await photos.keep(OWNER, encoded(picture(), "JPEG"))
    store_.held = unused.photo_id
    await age(intake)
    assert await photos.purge() == 0
    erasure = Erasure(lambda: intake.pool, 0.0, leaving.forget, photos.purge_erased)
    async with intake.pool.acquire() as conn, conn.transaction():
        await erasure.take(conn, [Leaver(rider_id("r1"), "erased:r1", clock.now())])
    assert await erasure.settle() == 0


async def test_the_thumbnail_goes_also_where_the_photo_does_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, one = PhotoObjects(f"file://{folder}"), new_id()
    await there.put(one, b"full", b"small")
    real = obstore.delete_async

    async def refusing(where: Any, path: str) -> None:
        if "thumbnail" not in path:
            raise PermissionError(path)
        await real(where, path)

    monkeypatch.setattr(obstore, "delete_async", refusing)
    with pytest.raises(StoreUnavailable):
        await there.delete(one)
    assert objects(folder) == 1
