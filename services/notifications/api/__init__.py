"""HTTP in: inboxes, preferences, webhooks, and what an operator sees of deliveries."""

from services.notifications.api import deliveries, hooks, inbox, own_deliveries, preferences, verification, webhooks

routers = (
    inbox.router,
    preferences.router,
    verification.router,
    webhooks.router,
    own_deliveries.router,
    deliveries.router,
)
sends = hooks.router
"""What the service sends to others over HTTP."""
