"""What the routes of screening are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "set_limits": "it alone finds by them",
}
