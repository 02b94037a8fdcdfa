"""What the routes of notifications are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "mark_read": "a rider's own inbox",
    "mark_all_read": "a rider's own inbox",
    "put_preferences": "a rider's own addresses",
    "send_code": "a rider's own addresses",
    "verify": "a rider's own addresses",
    "add_operator_channel": "operators' addresses, for this service alone",
    "drop_operator_channel": "operators' addresses, for this service alone",
    "put_webhook": "a company's address, for this service alone",
    "switch_off_webhook": "a company's address, for this service alone",
    "test_webhook": "a company's address, for this service alone",
    "send_delivery_again": "what is sent again is a delivery, no event",
    "retry_delivery": "what is tried again is a delivery, no event",
    "retry_target": "what is tried again is a delivery, no event",
}
# Answer with a list that cannot grow: what bounds it.
BOUNDED = {
    "/v1/preferences": "a rider's channels, which are few by the model that takes them",
}
