"""HTTP in. Addresses with words of their own come before `/v1/tasks/{task_id}`."""

from services.tasks.api import alarms, claims, figures, own, reviews, series, tasks, teams

routers = (
    figures.router, alarms.router, series.router, teams.router, own.router, reviews.router, claims.router, tasks.router,
)  # fmt: skip
