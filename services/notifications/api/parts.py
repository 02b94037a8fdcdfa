"""What the routes share: the service with its own parts."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.notifications.outbound.channel import ChannelSender
from services.notifications.outbound.webhook import WebhookSender
from services.notifications.settings import Settings
from services.notifications.texts import Texts
from shared.kit.auth import Sealer
from shared.kit.service import Service, current_service


@dataclass(frozen=True)
class Parts:
    """Built once in app.py."""

    settings: Settings
    sealer: Sealer
    texts: Texts
    webhooks: WebhookSender
    channels: ChannelSender


def current_parts(request: Request) -> Parts:
    """The parts, as app.py has put them beside the service."""
    parts: Parts = request.app.state.service.parts
    return parts


CurrentService = Annotated[Service, Depends(current_service)]
CurrentParts = Annotated[Parts, Depends(current_parts)]
