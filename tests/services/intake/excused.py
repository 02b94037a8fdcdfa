"""What the routes of intake are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "upload_photo": "no event until a report names it",
}
