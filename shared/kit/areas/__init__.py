"""What every service knows of the city's areas: the tree that rights are decided by."""

from shared.kit.areas.tree import NO_MAP, AreaTree, KnownArea

__all__ = ["NO_MAP", "AreaTree", "KnownArea"]
