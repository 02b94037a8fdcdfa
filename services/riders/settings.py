"""Settings of the riders service."""

from shared.kit.settings import SealingSettings


class Settings(SealingSettings):
    """What the kit needs, and the key that seals companies' keys."""
