"""What the routes of badges are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "set_on_boards": "boards alone ask for it, and they are here",
    "set_threshold": "it alone awards by them",
}
# Answer with a list that cannot grow: what bounds it.
BOUNDED = {
    "/v1/badges/me": "a badge a threshold, of which a city has a few dozen",
    "/v1/badges/boards": "the first hundred",
    "/v1/badges/boards/teams": "the first hundred",
    "/v1/badges/thresholds": "a city has a few dozen",
}
