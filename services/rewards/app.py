"""Wiring of the rewards service."""

import asyncio
from functools import partial

from services.rewards import handlers
from services.rewards.api import offers as offers_api
from services.rewards.api import redemptions as redemptions_api
from services.rewards.api.parts import Parts, Rewards
from services.rewards.retention import TABLES
from services.rewards.settings import Settings
from services.rewards.store.redemptions import forget, tallies
from services.rewards.usecases import redemptions
from services.rewards.usecases.codes import Codes
from services.rewards.usecases.redemptions import Answer, Desk, Wish
from services.rewards.usecases.sealing import sealed_codes
from services.rewards.usecases.vouchers import Counter
from shared.events.account_changed import ACCOUNT_CHANGED
from shared.kit.auth import sealing_keys
from shared.kit.batcher import Batcher
from shared.kit.service import Service


def build(settings: Settings | None = None) -> Service:
    """The service, not yet started."""
    settings = settings or Settings()
    service = Rewards("rewards", settings, title="BeeGrid rewards")
    service.keeps(*TABLES)
    secrets = _secrets(settings)
    codes, zone = Codes(*secrets.values()), settings.city_zone
    desk = Desk(codes, zone, settings.points_answer_s, redemptions_api.render)

    async def flush(wishes: list[Wish]) -> list[Answer | Exception]:
        async with service.work() as work:
            return await redemptions.redeem(desk, work, wishes)

    async def sweep() -> None:
        while True:
            async with service.work() as work:
                ended = await redemptions.sweep(work, settings.sweep_rows_max)
            if ended < settings.sweep_rows_max:
                await asyncio.sleep(settings.sweep_every_s)

    redeemer: Batcher[Wish, Answer] = Batcher(flush, name="rewards")
    service.parts = Parts(
        desk,
        Counter(codes, zone, settings.wrong_codes_max, settings.wrong_codes_window_s),
        redeemer,
        settings.undo_days_max,
    )
    service.consumes(ACCOUNT_CHANGED, partial(handlers.on_account_changed, desk))
    service.include(redemptions_api.router)
    service.include(offers_api.router)
    service.on_start(redeemer.start)
    service.on_stop(redeemer.stop)
    service.background("sweep", sweep)
    service.erases(forget)
    service.tallies(tallies)
    service.seals(sealed_codes(codes, list(secrets)))
    return service


def _secrets(settings: Settings) -> dict[str, bytes]:
    """What codes are made of, by sealing key's id; under a key of their own no sealing key matters."""
    if settings.voucher_key is not None:
        return {"voucher_key": settings.voucher_key.get_secret_value().encode()}
    return {key.id: key.raw for key in sealing_keys(settings.sealing_key.get_secret_value())}
