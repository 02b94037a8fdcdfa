"""Wiring of the rewards service."""

from functools import partial

from services.rewards.api import complaints as complaints_api
from services.rewards.api import merchants as merchants_api
from services.rewards.api import offers as offers_api
from services.rewards.api import offline as offline_api
from services.rewards.api import redemptions as redemptions_api
from services.rewards.api import statements as statements_api
from services.rewards.api import stations as stations_api
from services.rewards.api.redeeming import redeem_once
from services.rewards.retention import TABLES
from services.rewards.settings import Settings
from services.rewards.store.redemptions import forget, tallies
from services.rewards.usecases import levels, redemptions
from services.rewards.usecases.codes import Codes
from services.rewards.usecases.offline import Offline
from services.rewards.usecases.redemptions import Desk
from services.rewards.usecases.sealing import sealed_codes
from services.rewards.usecases.signing import Signer
from services.rewards.usecases.vouchers import Counter
from shared.events.account_changed import ACCOUNT_CHANGED
from shared.events.level_changed import LEVEL_CHANGED
from shared.kit.auth import Sealer
from shared.kit.service import Service
from shared.known.knowing import Riders, knows


def build(settings: Settings | None = None) -> Service:
    """The service, not yet started."""
    settings = settings or Settings()
    service = Service("rewards", settings, title="BeeGrid rewards")
    secrets = settings.voucher_secrets()
    codes, zone = Codes(*secrets.values()), settings.city_zone
    desk = Desk(codes, zone, settings.points_answer_s, settings.refusal_holds_s)
    offline = Offline(
        codes,
        Signer(*secrets.values()),
        settings.offline_good_h,
        settings.offline_grace_h,
        settings.offline_rows_max,
        settings.offline_open_max,
    )
    service.provide(offline)
    service.provide(desk, Counter(codes, zone, settings.wrong_codes_max, settings.wrong_codes_window_s))
    service.batches(partial(redeem_once, desk))
    service.consumes(ACCOUNT_CHANGED, partial(redemptions.follow_accounts, desk))
    service.consumes(LEVEL_CHANGED, levels.follow_levels)
    knows(service, riders=Riders(), companies=Sealer(settings.sealing_key.get_secret_value()))
    service.include(redemptions_api.router, offers_api.router, stations_api.router, offline_api.router)
    service.include(merchants_api.router, statements_api.router, complaints_api.router)
    service.every(settings.sweep_every_s, partial(redemptions.sweep, rows_max=settings.sweep_rows_max))
    service.keeps(*TABLES)
    service.erases(forget)
    service.tallies(tallies)
    service.seals(sealed_codes(codes, list(secrets)))
    return service
