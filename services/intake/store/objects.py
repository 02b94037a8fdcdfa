"""Photos' pixels in an object store: a local folder or S3, by URL."""

import asyncio
from typing import Literal
from uuid import UUID

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

TIMEOUT_S = 10.0
READS_AT_ONCE = 16
"""Each is a whole photo in memory, until its connection has it."""
Size = Literal["full", "thumbnail"]


class StoreUnavailable(Exception):
    """The object store did not do what it was asked, or not in time; trying again later can help."""


class PhotoObjects:
    """Two objects per photo: `<id>.jpg` and `<id>.thumbnail.jpg`, in a folder by the id's time."""

    def __init__(self, url: str) -> None:
        """`file:///folder` or `s3://bucket/prefix`; nothing is touched before `open` or the first use."""
        self._url = url
        self._opened: ObjectStore | None = None
        self._reads = asyncio.Semaphore(READS_AT_ONCE)

    async def open(self) -> None:
        """Make the folder, or fail at start-up where the address or its rights are wrong. Raises OSError, BaseError."""
        self._opened = await asyncio.to_thread(_opened, self._url)

    @property
    def _store(self) -> ObjectStore:
        if self._opened is None:
            self._opened = _opened(self._url)
        return self._opened

    async def put(self, photo_id: UUID, jpeg: bytes, thumbnail: bytes) -> None:
        """Write both objects; again is harmless. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await obstore.put_async(self._store, _path(photo_id, "full"), jpeg)
                await obstore.put_async(self._store, _path(photo_id, "thumbnail"), thumbnail)
        except (BaseError, OSError, TimeoutError) as error:
            raise StoreUnavailable(type(error).__name__) from error

    async def get(self, photo_id: UUID, size: Size) -> bytes:
        """One object's bytes. Raises StoreUnavailable; FileNotFoundError where there is none."""
        try:
            async with asyncio.timeout(TIMEOUT_S), self._reads:
                found = await obstore.get_async(self._store, _path(photo_id, size))
                return bytes(await found.bytes_async())
        except FileNotFoundError:
            raise
        except (BaseError, OSError, TimeoutError) as error:
            raise StoreUnavailable(type(error).__name__) from error

    async def delete(self, photo_id: UUID) -> None:
        """Remove both objects; fine if they are gone. Raises StoreUnavailable, when it has tried both."""
        refused: Exception | None = None
        for size in ("full", "thumbnail"):
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await obstore.delete_async(self._store, _path(photo_id, size))
            except FileNotFoundError:
                continue
            except (BaseError, OSError, TimeoutError) as error:
                refused = error
        if refused is not None:
            raise StoreUnavailable(type(refused).__name__) from refused


def _opened(url: str) -> ObjectStore:
    return LocalStore.from_url(url, mkdir=True) if url.startswith("file://") else from_url(url)


def _path(photo_id: UUID, size: str) -> str:
    # the first digits of a version 7 id are its time: folders of about 50 days
    folder = photo_id.hex[:4]
    return f"{folder}/{photo_id}.jpg" if size == "full" else f"{folder}/{photo_id}.thumbnail.jpg"
