"""SQL of what earns."""
