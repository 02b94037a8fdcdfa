"""The services. Whoever imports one of them makes some hundred thousand objects that stay."""

from shared.kit.collector import collect_seldom

collect_seldom()
