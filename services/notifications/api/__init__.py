"""HTTP in: inboxes, preferences, webhooks, and what an operator sees of deliveries."""

from services.notifications.api import deliveries, inbox, preferences, verification, webhooks

routers = (inbox.router, preferences.router, verification.router, webhooks.router, deliveries.router)
