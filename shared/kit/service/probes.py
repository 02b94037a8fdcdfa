"""What a process says of itself: started, ready, alive are three different questions."""

import asyncio
from typing import TYPE_CHECKING

from shared.kit import clock
from shared.kit.http.shared_answer import SharedAnswer
from shared.kit.postgres.db import reading

if TYPE_CHECKING:
    from shared.kit.service.wiring import Service

RELAY_SILENT_S = 60.0
SQL_PING = "SELECT 1"


class Probes:
    """Of one service in this process."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._postgres = SharedAnswer(self._ask_postgres)
        self.has_started = False

    def started(self) -> bool:
        """Start-up: everything is connected for the first time."""
        return self.has_started

    async def ready(self) -> dict[str, str]:
        """Readiness: can this process take requests now? Not while it drains, without Postgres, or over its limit.

        Kafka is no part of it: the outbox takes what Kafka can't, and a whole suite that turns unready when the broker
        restarts would refuse reports that it could keep. Whoever asks within a second gets one answer about Postgres.
        """
        service = self._service
        if service.draining:
            return {"process": "shutting down"}
        problems = dict(await self._postgres.get())
        if service.overloaded():
            problems["outbox"] = f"{service.relay.depth} events wait for Kafka"
        for consumer in service.consumers.values():
            if trouble := consumer.trouble():
                problems[consumer.topic.name] = trouble
        return problems

    async def _ask_postgres(self) -> dict[str, str]:
        try:
            async with asyncio.timeout(2.0):
                async with reading(self._service.pool, within_s=1.5) as conn:
                    await conn.fetchval(SQL_PING)
        except Exception as error:  # noqa: BLE001 whatever it is, it is the answer
            return {"postgres": type(error).__name__}
        return {}

    async def troubles(self) -> dict[str, str]:
        """For an operator: what readiness complains of, and what it deliberately leaves out."""
        problems = await self.ready()
        for consumer in self._service.consumers.values():
            problems |= consumer.stands()
        if self._service.relay.trouble:
            problems["relay"] = self._service.relay.trouble
        consumers = self._service.consumers.values()
        if silence := next((text for c in consumers if (text := c.hearing.trouble)), None):
            problems["kafka"] = silence
        return problems

    def alive(self) -> dict[str, str]:
        """Liveness: would a restart help? Only then."""
        if not self.has_started:
            return {}
        service = self._service
        problems = {name: trouble for name, c in service.consumers.items() if (trouble := c.trouble())}
        problems |= service.tasks.ended()
        silent_s = clock.monotonic_s() - service.relay.beat_s
        if silent_s > RELAY_SILENT_S:
            problems["relay"] = f"no turn for {silent_s:.0f} s"
        return problems
