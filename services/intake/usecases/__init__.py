"""What the intake service does: take reports, keep photos, follow the riders service."""
