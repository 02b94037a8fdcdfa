"""Who gets what of tasks."""

from tests.doors.rights.lines import CITY, OPERATOR, Rights

RIGHTS = Rights(
    routes={
        "GET /v1/tasks": OPERATOR,
        "GET /v1/tasks/{code}": OPERATOR,
        "PUT /v1/tasks/{code}": CITY,
    },
)
