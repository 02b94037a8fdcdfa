"""While Kafka takes nothing, routes that publish refuse before they read; the others go on."""

from pathlib import Path

import pytest
from fastapi import APIRouter

from shared.devtools.identity import Identity
from shared.kit.auth import Public, Rider, allow, policy_router
from shared.kit.http.models import Body
from tests.kit.web import app_of, bearer, client_of


class Wish(Body):
    words: str


def routes() -> APIRouter:
    router = policy_router()

    @router.post("/v1/written")
    @allow(Public, writes=True)
    async def written(body: Wish) -> str:
        return body.words

    @router.post("/v1/kept")
    @allow(Public)
    async def kept(body: Wish) -> str:
        return body.words

    @router.post("/v1/mine")
    @allow(Rider, writes=True)
    async def mine() -> str:
        return "done"

    return router


@pytest.mark.parametrize("body", [b'{"words": "x"}', b"no json"])
async def test_only_routes_that_write_are_refused(tmp_path: Path, body: bytes) -> None:
    full = [True]
    headers = {"content-type": "application/json"}
    async with client_of(app_of([routes()], tmp_path, overloaded=lambda: full[0])) as client:
        refused = await client.post("/v1/written", content=body, headers=headers)
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "busy", "5")
        assert (await client.post("/v1/kept", json={"words": "x"})).json() == "x"
        full[0] = False
        assert (await client.post("/v1/written", json={"words": "x"})).json() == "x"


async def test_who_may_not_hears_that_first(tmp_path: Path) -> None:
    identity = Identity.open(tmp_path)
    async with client_of(app_of([routes()], tmp_path, overloaded=lambda: True)) as client:
        assert (await client.post("/v1/mine")).status_code == 401
        merchant = bearer(identity.token("m", "店员", ["merchant"]))
        assert (await client.post("/v1/mine", headers=merchant)).status_code == 403
        rider = bearer(identity.token("1b671a64-40d5-491e-99b0-da01ff1f3341", "骑手", ["rider"]))
        assert (await client.post("/v1/mine", headers=rider)).status_code == 503
