"""What the routes of tracking are excused from, and why."""

# Answer with a list that cannot grow: what bounds it.
BOUNDED = {
    "/v1/tracking/reports/{report_id}": "at most 500 steps of a case, and the report's own",
    "/v1/tracking/hops": "the six hops there are",
}
