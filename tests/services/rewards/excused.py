"""What the routes of rewards are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "create_merchant": "said with the vouchers",
    "close_merchant": "said with the vouchers",
    "create_offer": "said with the vouchers",
    "set_stock": "said with the vouchers",
    "close_offer": "said with the vouchers",
}
# Answer with a list that cannot grow: what bounds it.
BOUNDED = {
    "/v1/merchants/{id}/statement": "a line an offer of one merchant",
}
