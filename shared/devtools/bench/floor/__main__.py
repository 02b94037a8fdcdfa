"""The floor's process, `python -m shared.devtools.bench.floor`; the benchmark starts it, addresses in BEEGRID_FLOOR."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import asyncpg
import orjson
import uvloop

from shared.devtools.bench.floor.hops import hops
from shared.devtools.bench.floor.pipe import Kafka, consume, relay
from shared.kit.collector import spare_the_collector

PUBLISHING = ("intake", "routing", "cases", "points")


async def run(given: dict[str, str | dict[str, str]]) -> None:
    """Run all hops and relays until cancelled.

    Args:
        given: `dsn` by service, `kafka` (aiokafka's arguments), `prefix` of topics, `ready` (the file that says so).
    """
    dsn, ready = given["dsn"], Path(str(given["ready"]))
    assert isinstance(dsn, dict) and isinstance(given["kafka"], dict)  # noqa: PT018 what the benchmark writes
    kafka = Kafka(given["kafka"], str(given["prefix"]))
    wakes = {service: asyncio.Event() for service in dsn}
    async with contextlib.AsyncExitStack() as stack:
        producer = kafka.producer()
        await producer.start()
        stack.push_async_callback(producer.stop)
        work = []
        for service in PUBLISHING:
            conn = await asyncpg.connect(dsn[service])
            stack.push_async_callback(conn.close)
            work.append(relay(service, kafka, producer, conn, wakes[service]))
        for hop in hops():
            conn = await asyncpg.connect(dsn[hop.service])
            stack.push_async_callback(conn.close)
            consumer = kafka.consumer(hop)
            await consumer.start()
            stack.push_async_callback(consumer.stop)
            work.append(consume(hop, consumer, conn, wakes[hop.service]))
        spare_the_collector()
        await asyncio.to_thread(ready.touch)
        async with asyncio.TaskGroup() as tasks:
            for one in work:
                tasks.create_task(one)


async def main() -> None:
    """Until SIGTERM. Any failure ends the process with its traceback: the benchmark then ends as well."""
    running = asyncio.create_task(run(orjson.loads(os.environ["BEEGRID_FLOOR"])))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


if __name__ == "__main__":
    uvloop.run(main())
