"""What the routes of riders are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "save_outlets": "nobody else knows outlets",
    "revoke_key": "to end a key must always be possible",
    "erase_rider": "to leave must always be possible",
}
# Answer with a list that cannot grow: what bounds it.
BOUNDED = {
    "/v1/companies/{code}": "the newest hundred keys of one company",
}
