"""docker-compose.yml in a real engine: what is looked at before it starts, upgrades, new passwords, the whole check."""
