"""All rules by name."""

from collections.abc import Callable, Iterator
from pathlib import Path

from shared.devtools.house import about_rules, code_rules, place_rules, screen_rules, wiring_rules, word_rules

RULES: dict[str, Callable[[Path], Iterator[str]]] = {
    "database_clock": code_rules.database_clock,
    "city_zone": code_rules.city_zone,
    "sql_place": code_rules.sql_place,
    "parameters": code_rules.parameters,
    "sizes": code_rules.sizes,
    "domain_pure": code_rules.domain_pure,
    "contracts_light": code_rules.contracts_light,
    "problems_place": code_rules.problems_place,
    "suppressed": code_rules.suppressed,
    "reasons": code_rules.reasons,
    "plain_names": word_rules.plain_names,
    "wiring": wiring_rules.wiring,
    "one_connection": wiring_rules.one_connection,
    "pooled": wiring_rules.pooled,
    "screens": screen_rules.screens,
    "abouts": about_rules.abouts,
    "anatomy": place_rules.anatomy,
    "migrations": place_rules.migrations,
    "short_pages": place_rules.short_pages,
}
