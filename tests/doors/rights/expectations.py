"""What each route of each service gives to whom. A route without a line here fails the test: deny by default.

Scopes: `any` whoever has the role; `area` where the caller's areas hold the object's grid; `city` whose areas leave
nothing out; `self` the person or company whom the object belongs to. A role that a line doesn't name gets nothing.
`company` is whoever signs as one; to `self` that is the company whose reports and riders these are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.events.registry import services
from shared.kit.auth.principal import ROLES

Scope = Literal["any", "area", "city", "self"]
GRID = "G10"
OFFICES = ("grid_worker", "dispatcher", "department", "verifier", "operator")


@dataclass(frozen=True)
class Line:
    """One route. `needs`: the object that it is asked about, another one for each request that may change it; its id
    fills the path.

    `body` and `query` name `{object}` where the object's id belongs. `shows`: a list, in which the object is or isn't.
    `hides`: that there is nothing is also how the route refuses.
    """

    roles: Mapping[str, Scope] = field(default_factory=dict)
    needs: str | None = None
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    shows: bool = False
    hides: bool = False
    public: bool = False


def _of(scope: Scope, *roles: str) -> dict[str, Scope]:
    return dict.fromkeys(roles, scope)


PUBLIC = Line(public=True)
COMPANY = Line(_of("any", "company"))
CITY = Line(_of("city", "operator"))
ANYBODY = Line(_of("any", *sorted(ROLES)))
RIDER = Line(_of("any", "rider"))
SENDER = Line(_of("any", "rider", "company"))
OWN_WEBHOOK = _of("city", "operator") | _of("self", "company")


def _step(state: str, area: str, own: bool = False, body: Any = None) -> Line:
    return Line(_of("area", *area.split()) | (_of("self", "rider") if own else {}), needs=f"case {state}", body=body)


_OPERATIONS = {
    "GET /ops/{service}/status": CITY,
    "GET /ops/{service}/keys": CITY,
    "POST /ops/{service}/keys/reseal": CITY,
    "GET /ops/{service}/dead-letters": CITY,
    "GET /ops/{service}/dead-letter-ranges": CITY,
    "GET /ops/{service}/dead-letters/{letter_id}": CITY,
    "POST /ops/{service}/dead-letters/replay": Line(_of("city", "operator"), body={"ids": [], "reason": "a test"}),
    "POST /ops/{service}/dead-letters/discard": Line(_of("city", "operator"), body={"ids": [1], "reason": "a test"}),
    "POST /ops/{service}/areas/dependents": CITY,
    "POST /ops/{service}/recount": CITY,
    "GET /ops/{service}/states": CITY,
    "POST /ops/{service}/states/publish": CITY,
    "GET /ops/{service}/erasures": CITY,
    "GET /ops/{service}/erasures/{rider_id}": CITY,
    "GET /ops/{service}/outbox/stuck": CITY,
    "POST /ops/{service}/outbox/stuck/retry": CITY,
    "POST /ops/{service}/outbox/stuck/discard": CITY,
    "GET /ops/{service}/standing": CITY,
    "POST /ops/{service}/standing/bury": CITY,
    "POST /ops/{service}/standing/retry": CITY,
    "GET /ops/{service}/readyz": PUBLIC,
    "GET /livez": PUBLIC,
    "GET /metrics": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /startupz": PUBLIC,
}
"""Of every service that has them."""

_SERVICES: dict[str, dict[str, Line]] = {
    "cases": {
        "GET /v1/cases": Line(_of("area", *OFFICES), needs="case open", query={"limit": "500"}, shows=True),
        "GET /v1/cases/{case_id}": Line(_of("area", *OFFICES) | _of("self", "rider"), needs="case open"),
        "GET /v1/cases/{case_id}/words": Line(_of("area", *OFFICES), needs="case open"),
        "POST /v1/cases:transition": Line(
            _of("area", "dispatcher", "verifier", "operator"), needs="case verified",
            body={"steps": [{"case_id": "{object}", "step": "close"}]}, shows=True,
        ),
        "POST /v1/cases/{case_id}/claim": _step("open", "grid_worker department"),
        "POST /v1/cases/{case_id}/request-info": _step("claimed", "grid_worker department dispatcher"),
        "POST /v1/cases/{case_id}/give-info": _step("needs_info", "dispatcher", own=True),
        "POST /v1/cases/{case_id}/handle": _step("claimed", "grid_worker department"),
        "POST /v1/cases/{case_id}/verify": _step("handled", "verifier dispatcher"),
        "POST /v1/cases/{case_id}/rework": _step("handled", "verifier dispatcher"),
        "POST /v1/cases/{case_id}/close": _step("verified", "dispatcher verifier operator"),
        "POST /v1/cases/{case_id}/invalidate": _step("open", "dispatcher operator"),
        "POST /v1/cases/{case_id}/return": _step("open", "grid_worker department"),
        "POST /v1/cases/{case_id}/redispatch": _step("returned", "dispatcher operator", body={"grid_code": GRID}),
        "POST /v1/cases/{case_id}/reopen": _step("closed", "", own=True),
    },
    "intake": {
        "POST /v1/photos": SENDER,
        "GET /v1/photos/{photo_id}": Line(_of("area", *OFFICES) | _of("self", "rider", "company"), needs="photo"),
        "POST /v1/reports": SENDER,
        "GET /v1/reports/{report_id}": Line(_of("city", "operator") | _of("self", "rider", "company"), needs="report"),
        "POST /v1/reports:batch": COMPANY,
        "POST /v1/reports:replay": CITY,
    },
    "notifications": {
        "GET /v1/inbox": RIDER,
        "POST /v1/inbox/read-all": RIDER,
        "POST /v1/inbox/{message_id}/read": Line(_of("self", "rider"), needs="message"),
        "GET /v1/preferences": RIDER,
        "PUT /v1/preferences": RIDER,
        "POST /v1/preferences/channels/{channel_id}/code": Line(_of("self", "rider"), needs="address"),
        "POST /v1/preferences/channels/{channel_id}/verify": Line(
            _of("self", "rider"), needs="address", body={"code": "12345678"}
        ),
        "GET /v1/notifications/channels": Line(_of("area", "operator"), needs="channel", shows=True),
        "POST /v1/notifications/channels": Line(
            _of("area", "operator"), hides=True, body={"kind": "wecom", "address": "no address", "area": GRID}
        ),
        "DELETE /v1/notifications/channels/{channel_id}": Line(_of("area", "operator"), needs="channel"),
        "GET /v1/notifications/deliveries": CITY,
        "POST /v1/notifications/deliveries/retry": CITY,
        "POST /v1/notifications/deliveries/{delivery_id}/retry": CITY,
        "GET /v1/webhooks": Line(_of("city", "operator") | _of("any", "company")),
        "PUT /v1/webhooks": Line(OWN_WEBHOOK, body={"company": "feima", "url": "https://example.com/hook"}),
        "DELETE /v1/webhooks": Line(OWN_WEBHOOK, query={"company": "feima"}),
        "POST /v1/webhooks/test": Line(OWN_WEBHOOK, body={"company": "feima"}),
    },
    "points": {
        "GET /v1/points/me": RIDER,
        "GET /v1/points/me/entries": RIDER,
        "GET /v1/points/riders/{rider_id}": CITY,
        "GET /v1/points/riders/{rider_id}/entries": CITY,
        "POST /v1/points/holds/{hold_id}/reverse": Line(_of("area", "operator"), needs="hold", body={"reason": "test"}),
        "GET /v1/points/rules": Line(_of("any", "operator")),
        "PUT /v1/points/rules": CITY,
    },
    "rewards": {
        "GET /v1/merchants": ANYBODY,
        "POST /v1/merchants": CITY,
        "GET /v1/merchants/{id}/statement": Line(
            _of("city", "operator") | _of("self", "merchant"), needs="merchant",
            query={"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
        ),
        "GET /v1/offers": ANYBODY,
        "POST /v1/offers": CITY,
        "GET /v1/offers/{offer_id}": ANYBODY,
        "POST /v1/offers/{offer_id}/redeem": RIDER,
        "PUT /v1/offers/{offer_id}/stock": CITY,
        "GET /v1/redemptions/me": RIDER,
        "GET /v1/redemptions/{redemption_id}": Line(
            _of("city", "operator") | _of("self", "rider"), needs="redemption"
        ),
        "POST /v1/redemptions/{redemption_id}/undo": CITY,
        "PUT /v1/offers/{offer_id}/closing": CITY,
        "PUT /v1/merchants/{id}/closing": CITY,
        "POST /v1/vouchers/verify": Line(_of("any", "merchant"), body={"code": "nonsense"}),
    },
    "riders": {
        "GET /v1/companies": CITY,
        "POST /v1/companies": CITY,
        "GET /v1/companies/{code}": CITY,
        "PUT /v1/companies/{code}": CITY,
        "POST /v1/companies/{code}/keys": CITY,
        "DELETE /v1/companies/{code}/keys/{key_id}": CITY,
        "GET /v1/outlets": COMPANY,
        "POST /v1/outlets:batch": COMPANY,
        "PUT /v1/riders/{external_id:path}": COMPANY,
        "GET /v1/riders": Line(_of("city", "operator"), query={"company": "feima", "external_id": "x"}),
        "GET /v1/riders/{rider:path}": Line(_of("city", "operator") | _of("self", "rider", "company"), needs="rider"),
        "DELETE /v1/riders/{rider_id}": Line(_of("city", "operator") | _of("self", "rider"), needs="rider"),
        "POST /v1/riders:batch": COMPANY,
        "POST /v1/riders:replay": CITY,
    },
    "routing": {
        "GET /v1/areas": ANYBODY,
        "GET /v1/areas/export.geojson": ANYBODY,
        "GET /v1/areas/{code}": ANYBODY,
        "GET /v1/areas/versions": CITY,
        "POST /v1/areas/versions": CITY,
        "DELETE /v1/areas/versions/{version_id}": CITY,
        "POST /v1/areas/versions/{version_id}/activate": CITY,
        "POST /v1/areas/versions/{version_id}/features": CITY,
        "GET /v1/routing/locate": ANYBODY,
        "GET /v1/routing/responsibilities": Line(_of("area", "operator"), needs="responsibility", shows=True),
        "PUT /v1/routing/responsibilities": Line(
            _of("area", "operator"),
            body={"put": [{"department_kind": "water", "area_code": GRID, "department": "D1"}]},
        ),
        "GET /v1/routing/unroutable": Line(_of("area", "dispatcher", "operator"), needs="waiting", shows=True),
        "POST /v1/routing/unroutable/{report_id}/assign": Line(
            _of("area", "dispatcher", "operator"), needs="waiting", body={"grid_code": GRID}
        ),
    },
    "tracking": {
        "GET /": PUBLIC,
        "GET /city": PUBLIC,
        "GET /problems/{code}": PUBLIC,
        "GET /r/{token}": PUBLIC,
        "GET /v1/tracking/export": Line(
            _of("city", "operator") | _of("self", "company"), query={"company": "feima"}
        ),
        "GET /v1/tracking/hops": CITY,
        "GET /v1/tracking/progress": Line(
            _of("city", "operator") | _of("self", "company"), query={"company": "feima"}
        ),
        "GET /v1/tracking/reports/{report_id}": Line(
            _of("area", "operator") | _of("self", "rider", "company"), needs="journey"
        ),
    },
}  # fmt: skip

TABLE: dict[str, dict[str, Line]] = {
    name: {key.replace("{service}", name): line for key, line in _OPERATIONS.items()} | _SERVICES.get(name, {})
    for name in services()
}
