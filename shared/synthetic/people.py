"""The people of the demo city and the companies that they ride for: invented, the same for the same number."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.events.common import RiderKind

Wanted = tuple[str, str, RiderKind, int]
"""Code, name, kind of riders and their number."""
COMPANIES: tuple[Wanted, ...] = (
    ("suda", "速达快递", "courier", 2_000),
    ("kuaisong", "快送外卖", "food_delivery", 1_600),
    ("anxing", "安行出行", "ride_hailing", 600),
)
SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦许何吕施张孔曹严华金魏陶姜"
GIVEN = ("伟", "芳", "娜", "敏", "静", "强", "磊", "洋", "勇", "军", "杰", "娟", "涛", "明", "超", "霞", "平", "刚")
WITHOUT_CONSENT_EVERY = 200
OUTLETS_EACH = 60


def person_name(number: int) -> str:
    """An invented name."""
    return SURNAMES[number % len(SURNAMES)] + GIVEN[(number // len(SURNAMES)) % len(GIVEN)]


@dataclass
class Company:
    """One platform company: how it signs and how it speaks to Kafka."""

    code: str
    name: str
    rider_kind: RiderKind
    riders: int
    secret: bytes = b""
    kafka_password: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def rider(self, number: int) -> str:
        """The company's own number of a rider."""
        return f"{self.code}-{number:05d}"

    def consenting(self, number: int) -> str:
        """That rider, or the next one where they have not agreed to anything."""
        return self.rider(number if number % WITHOUT_CONSENT_EVERY else number + 1)

    def rider_body(self, number: int, now: datetime) -> dict[str, Any]:
        """The rider as the company registers them."""
        return {
            "external_id": self.rider(number),
            "name": person_name(number),
            "kind": self.rider_kind,
            "outlet": f"{self.code}-{number % OUTLETS_EACH:03d}",
            "consent_at": now.isoformat() if number % WITHOUT_CONSENT_EVERY else None,
        }
