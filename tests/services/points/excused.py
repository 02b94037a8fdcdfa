"""What the routes of points are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "set_rules": "it alone counts by them",
}
