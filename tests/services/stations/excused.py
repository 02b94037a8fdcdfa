"""What the routes of stations are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "find_nearest": "reads: a POST so that no log has a rider's place",
    "find_along": "reads: a POST so that no log has a rider's way",
    "record_donation": "shown here alone",
    "withdraw_donation": "shown here alone",
    "name_keeper": "a right within the service",
    "remove_keeper": "a right within the service",
    "renew_visit_code": "a code that only this service compares",
}
# Answer with a list that cannot grow: what bounds it.
BOUNDED = {
    "/v1/stations/{station_id}": "its services and photos, a few dozen",
    "/v1/stations/{station_id}/office": "the same",
    "/v1/stations/figures/totals": "a line a kind",
    "/v1/stations/taxonomy": "two files of the city",
}
