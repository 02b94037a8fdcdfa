"""What the routes of activities are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "set_served": "figures of teams, which this service alone shows",
    "set_template": "what was made from it stays as it is",
    "set_consent": "photos are shown by this service alone",
    "say_opinion": "for who answers for the area alone",
    "add_photo": "photos are shown by this service alone",
    "drop_photo": "photos are shown by this service alone",
}
# Answer with a list that cannot grow: what bounds it.
BOUNDED = {
    "/v1/activities/{activity_id}": "at most thirty teams",
    "/v1/activities/{activity_id}/draw": "as many numbers as sign-ups, whose number a setting limits",
    "/v1/activities/templates": "a city has a dozen",
}
