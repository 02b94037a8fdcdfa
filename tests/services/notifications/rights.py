"""Who gets what of notifications."""

from uuid import UUID

from services.notifications.usecases.preferences import SEALED_FOR
from shared.kit.auth import Sealer
from shared.kit.ids import new_id
from tests.doors.rights.lines import CITY, RIDER, Line, Rights, to
from tests.doors.rights.world import GRID, World

OWN_WEBHOOK = to("city", "operator") | to("self", "company")


async def message(world: World) -> UUID:
    message_id = new_id()
    await world.pool.execute(
        "INSERT INTO messages VALUES ($1, $2, 'case', 'case_claimed', '{}', now())", world.rider, message_id
    )
    return message_id


async def channel(world: World) -> UUID:
    await world.pool.execute("DELETE FROM channels")
    channel_id = new_id()
    await world.pool.execute(
        """INSERT INTO channels (channel_id, area, kind, sealed, hint, topics, created_at)
           VALUES ($1, $2, 'wecom', '', '', '{emergency}', now())""",
        channel_id, GRID,
    )  # fmt: skip
    return channel_id


async def address(world: World) -> UUID:
    channel_id = new_id()
    sealer = Sealer(world.service.settings.sealing_key.get_secret_value())
    await world.pool.execute(
        """INSERT INTO channels (channel_id, rider_id, kind, sealed, hint, topics, created_at)
           VALUES ($1, $2, 'mail', $3, '', '{case}', now())""",
        channel_id, world.rider, sealer.seal(b"rider@example.org", SEALED_FOR, str(channel_id)),
    )  # fmt: skip
    return channel_id


async def delivery(world: World) -> UUID:
    delivery_id, webhook_id = new_id(), new_id()
    await world.pool.execute(
        """INSERT INTO webhooks (company, webhook_id, url, sealed, version, updated_at)
           VALUES ($1, $2, 'https://192.0.2.1/', '', 1, now()) ON CONFLICT DO NOTHING""",
        "feima", webhook_id,
    )  # fmt: skip
    await world.pool.execute(
        """INSERT INTO deliveries (delivery_id, event_id, lane, target_id, template, params, state, attempts_allowed,
                                   next_attempt_at, created_at, finished_at)
           SELECT $1, $1, 'webhook', webhook_id, 'webhook_test', '{}', 'dead', 8, now(), now(), now()
           FROM webhooks WHERE company = $2""",
        delivery_id, "feima",
    )  # fmt: skip
    return delivery_id


RIGHTS = Rights(
    routes={
        "GET /v1/inbox": RIDER,
        "POST /v1/inbox/read-all": RIDER,
        "POST /v1/inbox/{message_id}/read": Line(to("self", "rider"), needs="message"),
        "GET /v1/preferences": RIDER,
        "PUT /v1/preferences": RIDER,
        "POST /v1/preferences/channels/{channel_id}/code": Line(to("self", "rider"), needs="address"),
        "POST /v1/preferences/channels/{channel_id}/verify": Line(
            to("self", "rider"), needs="address", body={"code": "12345678"}
        ),
        "GET /v1/notifications/channels": Line(to("area", "operator"), needs="channel", shows=True),
        "POST /v1/notifications/channels": Line(
            to("area", "operator"), hides=True, body={"kind": "wecom", "address": "no address", "area": GRID}
        ),
        "DELETE /v1/notifications/channels/{channel_id}": Line(to("area", "operator"), needs="channel"),
        "GET /v1/notifications/deliveries": CITY,
        "POST /v1/notifications/deliveries/retry": CITY,
        "POST /v1/notifications/deliveries/{delivery_id}/retry": CITY,
        "GET /v1/webhooks": Line(to("city", "operator") | to("any", "company")),
        "PUT /v1/webhooks": Line(OWN_WEBHOOK, body={"company": "feima", "url": "https://example.com/hook"}),
        "DELETE /v1/webhooks": Line(OWN_WEBHOOK, query={"company": "feima"}),
        "GET /v1/webhooks/deliveries": Line(OWN_WEBHOOK, query={"company": "feima"}),
        "POST /v1/webhooks/deliveries/{delivery_id}/retry": Line(to("self", "company"), needs="delivery"),
        "POST /v1/webhooks/test": Line(OWN_WEBHOOK, body={"company": "feima"}),
    },
    objects={"message": message, "channel": channel, "address": address, "delivery": delivery},
)  # fmt: skip
