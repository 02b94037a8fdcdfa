"""What the routes of points are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "set_rules": "it alone counts by them",
    "dry_run": "changes nothing",
    "make_budget": "offices ask for budgets; riders' points are published as they move",
    "allocate": "the same; what waits is paid a moment later, and published",
    "refuse_waiting": "what waits is refused a moment later, and published",
    "set_expiry_rule": "it alone counts by them",
    "propose_adjustment": "said when it takes effect",
    "refuse_adjustment": "nothing moves",
    "withdraw_adjustment": "nothing moves",
}
# Answer with a list that cannot grow: what bounds it.
BOUNDED = {
    "/v1/points/me/lots": "days of points that are left",
    "/v1/points/riders/{rider_id}/lots": "days of points that are left",
    "/v1/points/me/proof": "a hash for each level of the tree",
    "/v1/points/seals/verification": "what is wrong in one share of accounts",
}
