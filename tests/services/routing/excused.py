"""What the routes of routing are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "create_version": "the map isn't in force",
    "add_features": "the map isn't in force",
    "discard_draft": "the map isn't in force",
    "change_responsibilities": "it alone asks who is responsible",
}
# Answer with a list that cannot grow: what bounds it.
BOUNDED = {
    "/v1/areas/{code}": "the areas above one, and its first thousand children",
    "/v1/routing/locate": "the areas around one place",
}
