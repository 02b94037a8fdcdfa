"""Batches as strangers may send them, and two companies on an installation of the test's own."""

import asyncio
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cramjam
import orjson
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.codec import gzip_encode, snappy_encode
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c, encode_varint

from shared.devtools.installation import Installation
from shared.events.inbound_reports import INBOUND_REPORTS
from shared.kit.messaging.kafka import REQUEST_BYTES_MAX, client_arguments
from shared.kit.settings import KitSettings

ATTRIBUTES_AT, CRC_AT, LAST_DELTA_AT, PAYLOAD_AT = 21, 17, 23, 61
RECORD_BYTES = 1 << 30
PIECE_BYTES = {1: 1 << 24, 2: 1 << 16, 3: 1 << 16, 4: 1 << 24}


def submission(number: int, text: str = "") -> bytes:
    """One report of a company."""
    return orjson.dumps(
        {
            "external_id": f"r-{number}", "rider": "7", "kind": "part-01001", "text": text,
            "place": {"lng": 120.3, "lat": 30.3, "datum": "gcj02"}, "occurred_at": "2026-05-01T12:00:00+08:00",
        }
    )  # fmt: skip


def inbound(installation: Installation, company: str) -> str:
    """The company's topic of reports as it is on the cluster."""
    return installation.topic_prefix + INBOUND_REPORTS.name.format(company=company)


def admin_arguments(installation: Installation, settings: KitSettings) -> dict[str, Any]:
    """Arguments for a client with the administrator's rights."""
    infra = installation.infra
    return client_arguments(settings, "stranger") | {
        "sasl_plain_username": infra.kafka_admin_user,
        "sasl_plain_password": infra.kafka_admin_password,
    }


def producer(installation: Installation, settings: KitSettings, **changes: Any) -> AIOKafkaProducer:
    """A plain producer."""
    arguments = admin_arguments(installation, settings) | {"max_request_size": REQUEST_BYTES_MAX, **changes}
    return AIOKafkaProducer(**arguments)


def signed(batch: bytearray) -> bytearray:
    """A batch with the checksum that fits its content."""
    struct.pack_into(">I", batch, CRC_AT, calc_crc32c(bytes(batch[ATTRIBUTES_AT:])))
    return batch


def numbered(values: Sequence[bytes], offsets: Sequence[int]) -> bytearray:
    """An unpacked batch whose records say these offsets in it; its head says how many they are, as it must."""
    made = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 24)
    for value, offset in zip(values, offsets, strict=True):
        made.append(offset, 0, None, value, [])
    batch = bytearray(made.build())
    struct.pack_into(">i", batch, LAST_DELTA_AT, len(values) - 1)
    return signed(batch)


def packed(values: Iterable[bytes]) -> bytearray:
    """An honest batch of these values, by zstd, however much that is unpacked."""
    made = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 30)
    for number, value in enumerate(values):
        assert made.append(number, 0, None, value, []) is not None
    plain = bytes(made.build())
    batch = bytearray(plain[:PAYLOAD_AT])
    batch[ATTRIBUTES_AT + 1] |= 4
    batch += PACK[4](plain[PAYLOAD_AT:])
    struct.pack_into(">i", batch, 8, len(batch) - 12)
    return signed(batch)


async def send_batch(by: AIOKafkaProducer, topic: str, partition: int, batch: bytearray) -> int:
    """Send these very bytes as one batch; its first offset."""
    made: BatchBuilder = by.create_batch()
    made.append(timestamp=None, key=None, value=b"")
    made.close()
    made._buffer = batch
    sent = await by.send_batch(made, topic, partition=partition)
    first: int = (await sent).offset
    return first


def segment(installation: Installation, place: TopicPartition) -> Path:
    """The file in which the broker keeps a young partition."""
    broker = installation.infra.kafka
    assert broker is not None, "these tests change what lies on the broker's disk"
    [file] = (broker.spec.home / "log" / f"{place.topic}-{place.partition}").glob("*.log")
    return file


def change_on_disk(file: Path, base_offset: int, changes: Sequence[tuple[int, bytes]], *, sign: bool) -> None:
    """Overwrite bytes of one batch where it lies; with `sign` its checksum fits afterwards."""
    content = bytearray(file.read_bytes())
    at = 0
    while struct.unpack_from(">q", content, at)[0] != base_offset:
        at += 12 + struct.unpack_from(">i", content, at + 8)[0]
    end = at + 12 + struct.unpack_from(">i", content, at + 8)[0]
    batch = content[at:end]
    for offset, new in changes:
        batch[offset : offset + len(new)] = new
    with file.open("r+b") as target:
        target.seek(at)
        target.write(signed(batch) if sign else batch)


def bomb(codec: int, unpacked_bytes: int) -> bytearray:
    """A batch with records of zeros, each a gigabyte at most, in few bytes. `codec`: Kafka's number, 1 to 4.

    It is made of one packed piece that is repeated: nobody has to pack gigabytes.
    """
    count = -(-unpacked_bytes // RECORD_BYTES)
    piece = PIECE_BYTES[codec]
    pieces = unpacked_bytes // count // piece
    head = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    for number in range(count):
        head.append(number, None, None, b"", [])
    batch = bytearray(head.build()[:PAYLOAD_AT])
    batch[ATTRIBUTES_AT + 1] |= codec
    opening, closing = FRAMES[codec]
    batch += opening
    zeros = PACK[codec](bytes(piece))
    for number in range(count):
        batch += PACK[codec](_record_head(number, pieces * piece)) + pieces * zeros + PACK[codec](b"\x00")
    batch += closing
    struct.pack_into(">i", batch, 8, len(batch) - 12)
    return signed(batch)


async def broken_batches(
    installation: Installation, settings: KitSettings, topic: str, number: Iterator[int]
) -> dict[tuple[int, int], str]:
    """Send four broken batches, one to a partition, each with a good record behind it; culprits' places and codes."""
    culprits: dict[tuple[int, int], str] = {}
    async with producer(installation, settings, compression_type="zstd") as by:
        made = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
        for i in range(3):
            made.append(i, None, None, submission(next(number)), [("name", b"x")] if i == 1 else [])
        batch = bytearray(made.build())
        batch[batch.index(b"name") : batch.index(b"name") + 4] = b"n\xffme"
        culprits[0, await send_batch(by, topic, 0, signed(batch)) + 1] = "malformed_event"
        kinds: list[tuple[int, tuple[int, bytes], bool]] = [
            (1, (ATTRIBUTES_AT, b"\x00\x07"), True),  # a codec that nobody knows
            (2, (PAYLOAD_AT, b"nonsense"), True),  # what zstd can't read
            (3, (PAYLOAD_AT, b"x"), False),  # a wrong checksum
        ]
        for partition, change, sign in kinds:
            sent = [await by.send(topic, submission(next(number), "x" * 500), partition=partition) for _ in range(5)]
            first = min(one.offset for one in await asyncio.gather(*sent))
            await by.send_and_wait(topic, submission(next(number)), partition=partition)
            change_on_disk(segment(installation, TopicPartition(topic, partition)), first, [change], sign=sign)
            culprits[partition, first] = "unreadable_batch"
        await by.send_and_wait(topic, submission(next(number)), partition=0)
    return culprits


def headed(codec: int, value: bytes, headers: int, length: int | None = None) -> bytearray:
    """A batch of one record with so many headers of two bytes. `length`: what the record says that it has, in bytes."""
    inner = bytearray(b"\x00")
    for one in (0, 0, -1, len(value)):
        encode_varint(one, inner.append)
    inner += value
    encode_varint(headers, inner.append)
    inner += b"\x00\x01" * headers
    record = bytearray()
    encode_varint(len(inner) if length is None else length, record.append)
    return payload_of_one(codec, bytes(record + inner))


def payload_of_one(codec: int, payload: bytes) -> bytearray:
    """A batch that says that it has one record, with this payload."""
    made = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    made.append(0, 0, None, b"", [])
    batch = bytearray(made.build()[:PAYLOAD_AT])
    batch[ATTRIBUTES_AT + 1] |= codec
    opening, closing = FRAMES[codec] if codec else (b"", b"")
    batch += opening + (PACK[codec](payload) if codec else payload) + closing
    struct.pack_into(">i", batch, 8, len(batch) - 12)
    return signed(batch)


def hollow(value: bytes) -> bytearray:
    """A batch of one report, and behind it a million blocks of Snappy's with nothing in them."""
    made = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    made.append(0, 0, None, value, [])
    batch = payload_of_one(2, bytes(made.build()[PAYLOAD_AT:])) + HOLLOW[1][1][16:]
    struct.pack_into(">i", batch, 8, len(batch) - 12)
    return signed(batch)


def _record_head(number: int, size: int) -> bytes:
    """A record up to its value; behind the value comes one zero: no headers."""
    inner = bytearray(b"\x00\x00")
    for value in (number, -1, size):
        encode_varint(value, inner.append)
    whole = bytearray()
    encode_varint(len(inner) + size + 1, whole.append)
    return bytes(whole + inner)


def _lz4_block(content: bytes) -> bytes:
    if len(content) < 64:
        return struct.pack("<I", len(content) | 1 << 31) + content
    packed = bytes(cramjam.lz4.compress_block(content, store_size=False))
    return struct.pack("<I", len(packed)) + packed


def _snappy_block(content: bytes) -> bytes:
    packed = bytes(cramjam.snappy.compress_raw(content))
    return struct.pack(">i", len(packed)) + packed


# gzip and zstd: members and frames in a row are one stream; lz4: one frame of independent blocks of 64 KiB; snappy:
# Xerial's row of blocks.
PACK: dict[int, Callable[[bytes], bytes]] = {
    1: gzip_encode, 2: _snappy_block, 3: _lz4_block, 4: lambda content: bytes(cramjam.zstd.compress(content)),
}  # fmt: skip
LZ4_HEAD = bytes.fromhex("04224d18604082")
FRAMES = {1: (b"", b""), 2: (snappy_encode(b"")[:16], b""), 3: (LZ4_HEAD, bytes(4)), 4: (b"", b"")}
_ROOM = 5_100_000
HOLLOW = [
    (2, snappy_encode(b"")[:16] + bytes(_ROOM)),
    (2, snappy_encode(b"")[:16] + b"\x00\x00\x00\x01\x00" * (_ROOM // 5)),
    (1, gzip_encode(b"") * (_ROOM // len(gzip_encode(b"")))),
]
"""Packed with each codec whose empty pieces cost more than their bytes, and nothing in it. Of those of a gzip's member,
of lz4's and zstd's frames and blocks five megabytes are read in a quarter of a second."""
EIGHT_EMPTY_BLOCKS = bytes.fromhex(
    "04c081000000000090ff6a24000e040000000080fc57230170200000000000e4bf1a098003010000000020ffd548001c0800"
    "00000000f9af4602e0400000000000c87f35120007020000000040feab910038100000000000f25f8d"
)
"""Of gzip's, each with tables of its own and nothing else: five megabytes of them take a second and more of CPU."""
