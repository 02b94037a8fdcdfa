"""A day's reports on their way: two companies stream over Kafka, one posts signed batches."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import orjson

from shared.synthetic.door import Door
from shared.synthetic.opening import producer_of
from shared.synthetic.pace import paced
from shared.synthetic.people import Company
from shared.synthetic.reports import Planned, Sent

TICK_S = 0.1
POST_EVERY_S = 0.5


class Streams:
    """Sends the plan at a chosen rate; what falls behind is sent at once, never left out."""

    def __init__(self, door: Door, companies: Sequence[Company], planned: Sequence[Planned], per_second: float) -> None:
        self.sent = Sent()
        self.http_refused = 0
        self._door = door
        self._companies = companies
        self._planned = planned
        self._per_second = per_second

    async def run(self, on_sent: Callable[[Sent], None]) -> Sent:
        """Send everything; `on_sent` gets the counts as they grow."""
        async with asyncio.TaskGroup() as tasks:
            for index in range(len(self._companies)):
                own = [planned for planned in self._planned if planned.company == index]
                over_http = index == len(self._companies) - 1
                send = self._post if over_http else self._stream
                tasks.create_task(send(self._companies[index], own, on_sent))
        return self.sent

    def _due(self, own: Sequence[Planned], tick_s: float) -> AsyncIterator[list[Planned]]:
        return paced(own, self._per_second * len(own) / len(self._planned), tick_s=tick_s)

    async def _stream(self, company: Company, own: Sequence[Planned], on_sent: Callable[[Sent], None]) -> None:
        topic = f"{self._door.target.cluster.topic_prefix}inbound.{company.code}.reports.v1"
        async with producer_of(self._door.target.cluster, company) as producer:
            async for part in self._due(own, TICK_S):
                waiting = [
                    await producer.send(topic, orjson.dumps(p.body), key=p.body["external_id"].encode()) for p in part
                ]
                await asyncio.gather(*waiting)
                self._count(part, on_sent)

    async def _post(self, company: Company, own: Sequence[Planned], on_sent: Callable[[Sent], None]) -> None:
        async for part in self._due(own, POST_EVERY_S):
            body = {"items": [p.body for p in part]}
            answer = await self._door.signed(company.code, company.secret, "/v1/reports:batch", body)
            self.http_refused += answer["refused"]
            self._count(part, on_sent)

    def _count(self, part: Sequence[Planned], on_sent: Callable[[Sent], None]) -> None:
        for planned in part:
            self.sent.count(planned.expected)
        on_sent(self.sent)
