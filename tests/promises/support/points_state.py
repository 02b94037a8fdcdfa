"""The state of the points service that two runs over the same events must have in common.

Left out: instants and the ids of entries, which are made again in every run; the versions that single entries carry and
the balances that single movements show, which follow the order of a rider's cases, and across cases (on several
partitions) no order is promised. What remains of these is that each rider's versions run 1..n.
"""

import hashlib
import json
from collections import defaultdict
from typing import Any

from shared.devtools.installation import Installation
from shared.events.account_changed import ACCOUNT_CHANGED
from tests.promises.support.database import ask
from tests.promises.support.delivery import arrivals, delivery_problems
from tests.promises.support.kafka import read_topic

State = dict[str, list[Any]]
TABLES = {
    "accounts": "SELECT rider_id::text, version, pending, available, reserved FROM accounts",
    "riders": "SELECT rider_id::text, active, version FROM known_riders",
    "holds": "SELECT id::text, source, rider_id::text, case_id::text, kind, amount, state, reason FROM holds",
    "cases": "SELECT case_id::text, grid_code, posted_up_to, voided_up_to FROM cases",
    "entries": "SELECT rider_id::text, hold_id::text, movement, line, from_account, to_account, amount FROM entries",
    "earnings": "SELECT rider_id::text, earned_on::text, kind, points, reports FROM earnings",
    "times each event took effect": "SELECT event_id::text, count(*) FROM witness GROUP BY event_id",
    "dead letters": "SELECT event_id::text, status, code FROM dead_letters",
}
SQL_VERSIONS = "SELECT rider_id::text, version FROM accounts WHERE version > 0"


def state_of(home: Installation) -> State:
    """Every part sorted, so that equal states are equal."""
    parts = {name: sorted(map(list, ask(home.dsn("points"), sql)), key=str) for name, sql in TABLES.items()}
    bodies = {record.headers["ce_id"]: json.loads(record.value) for record in read_topic(home, ACCOUNT_CHANGED.name)}
    fields = ("rider_id", "movement", "source", "source_id", "amount", "reason")
    parts["movements published"] = sorted(([body[field] for field in fields] for body in bodies.values()), key=str)
    return parts


def ledger_problems(home: Installation) -> list[str]:
    """Each rider's movements are published as versions 1..n, n as in the account."""
    versions: dict[str, int] = defaultdict(int, ask(home.dsn("points"), SQL_VERSIONS))  # type: ignore[arg-type]  # pairs
    return delivery_problems(set(), arrivals(read_topic(home, ACCOUNT_CHANGED.name)), versions)


def state_hash(state: State) -> str:
    """SHA-256 of the state."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def differences(one: State, other: State) -> list[str]:
    """Parts that differ, with how many rows are only on either side; empty where the hashes are equal."""
    found = []
    for name in one:
        left, right = {str(row) for row in one[name]}, {str(row) for row in other[name]}
        if one[name] != other[name]:
            found.append(f"{name}: {sorted(left - right)[:3]} against {sorted(right - left)[:3]}")
    assert bool(found) == (state_hash(one) != state_hash(other))
    return found
