"""What the routes of cases are excused from, and why."""

# Answer with a list that cannot grow: what bounds it.
BOUNDED = {
    "/v1/cases/{case_id}": "at most 500 steps and 20 words, whoever reported it",
}
