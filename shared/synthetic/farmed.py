"""One picture is filed by three riders at three places: screening finds it, an operator decides."""

import io
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from PIL import Image

from shared.kit import clock
from shared.kit.ids import new_id
from shared.synthetic import reports
from shared.synthetic.city import grids
from shared.synthetic.door import Door

KIND = "part-01001"
PLACES = (410, 420, 430)
"""Grids, kilometres apart."""
NOTES = {"confirmed": "同一张照片，此处没有破损", "cleared": "比对照片，未发现作弊"}


async def file(door: Door, riders: Sequence[str]) -> list[str]:
    """Ids of the reports of the first three riders; all are accepted."""
    photo, filed = picture(), []
    for rider, place in zip(riders, PLACES, strict=False):
        phone = door.token(rider, "小哥 Rider", ["rider"])
        stored = await door.send_bytes("/v1/photos", photo, "image/jpeg", phone)
        middle = grids()[place].polygon.representative_point()
        occurred_at = clock.now() - timedelta(minutes=2)
        body = reports.body(f"farmed-{new_id()}", rider, KIND, (middle.x, middle.y), occurred_at)
        del body["rider"]  # whoever files for themselves
        filed.append((await door.post("/v1/reports", {**body, "photos": [stored["photo_id"]]}, phone))["report_id"])
    return filed


async def review(door: Door, cheat: str) -> Counter[str]:
    """Decide all that waits under suspicion: that report was farmed, of the others nothing is found."""
    decided: Counter[str] = Counter()
    while waiting := (await door.get("/v1/screening/suspicions", limit=200))["items"]:
        for decision in ("confirmed", "cleared"):
            ids = [one["report_id"] for one in waiting if (one["report_id"] == cheat) == (decision == "confirmed")]
            if ids:
                body = {"reports": ids, "decision": decision, "note": NOTES[decision]}
                await door.post("/v1/screening/suspicions:decide", body)
                decided[decision] += len(ids)
    return decided


def picture() -> bytes:
    """A photo that is nobody else's."""
    buffer = io.BytesIO()
    Image.effect_noise((320, 240), 90).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()
