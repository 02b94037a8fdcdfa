"""What the routes of rewards are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "create_merchant": "said with the vouchers",
    "apply": "nothing can be had yet",
    "add_store": "said with the vouchers",
    "set_clerk": "who may take vouchers is the counter's own business",
    "add_slots": "said with the vouchers",
    "make_list": "nothing is taken yet: vouchers are as they were",
    "close_month": "made of what was said with the vouchers",
    "complain": "for the city's operators alone, until they answer",
    "dispute": "between a merchant and the city",
    "answer": "between a merchant and the city",
    "pay": "between a merchant and the city",
}
# Answer with a list that cannot grow: what bounds it.
BOUNDED = {
    "/v1/merchants/{id}/statement": "a line an offer of one merchant",
    "/v1/offers/{offer_id}": "its days of the week, and at most fifty areas, fifty companies, ten photos",
    "/v1/statements/{id}": "a line an offer of one merchant",
    "/v1/vouchers/key": "the sealing keys in use",
    "/v1/statements/by-area": "the areas in which merchants are",
}
