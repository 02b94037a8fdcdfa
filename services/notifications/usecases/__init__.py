"""What the service does: notifying (from events), preferences and webhooks (from people), sending (to the outside)."""
