"""What the service does: telling (from events), preferences and webhooks (from people), sending (to the outside)."""
