"""What the routes of points are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "set_rules": "it alone counts by them",
    "dry_run": "changes nothing",
    "make_budget": "offices ask for budgets; riders' points are published as they move",
    "allocate": "the same; what waits is paid a moment later, and published",
    "refuse_waiting": "what waits is refused a moment later, and published",
}
