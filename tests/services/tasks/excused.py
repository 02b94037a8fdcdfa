"""What the routes of tasks are excused from, and why."""

# Change something and publish no event of the service: they go on while Kafka takes nothing.
QUIET = {
    "start": "the task's figures stay as they are",
    "finish": "the community finds it in its list; nothing is decided",
    "appeal": "the community finds it in its list; nothing is decided",
    "read_contact": "it is kept who asked, and nothing else",
    "end_series": "tasks that are published stay",
    "make_team": "teams are asked for here alone",
    "set_team": "teams are asked for here alone",
    "set_membership": "teams are asked for here alone",
    "remove_member": "teams are asked for here alone",
}
# Answer with a list that cannot grow: what bounds it.
BOUNDED = {
    "/v1/tasks/{task_id}": "the skills of one task, at most ten",
}
