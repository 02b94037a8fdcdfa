"""Who leads a relay polls seldom while nothing comes: another process of the service says that it has committed."""

import asyncio

import pytest

from shared.events.report_received import REPORT_RECEIVED
from shared.kit.publishing import relay
from shared.kit.service import Service
from tests.kit.messaging.conftest import SETTLE_S, Pair, report, running
from tests.support import settings_of


async def test_a_commit_of_a_process_that_does_not_lead_is_sent_long_before_the_next_poll(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "IDLE_POLL_S", SETTLE_S * 3)
    other = Service("intake", settings_of(pair.installation, "intake"), title="another process of the publisher")
    async with running(other):
        both = [pair.publisher, other]

        async def one_leads() -> bool:
            return [one.relay.leading for one in both].count(True) == 1

        await pair.until(one_leads, "one of both leads")
        follower = next(one for one in both if not one.relay.leading)
        await asyncio.sleep(relay.ALERT_S + 2)  # until the leader has gone over to polling seldom
        for version in (1, 2):
            async with follower.work() as work:
                work.publish(REPORT_RECEIVED, report(f"number {version}"), version=version)
        await pair.until_effects(2)
        assert not follower.relay.leading
