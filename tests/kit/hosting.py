"""What a consumer stands in, without a service around it."""

from dataclasses import dataclass

from shared.kit.postgres.db import Pool
from shared.kit.settings import KitSettings


@dataclass
class Host:
    """What a consumer needs of its service."""

    name: str
    settings: KitSettings
    pool: Pool

    def committed(self) -> None: ...
