"""HTTP in."""

from services.activities.api import activities, attending, figures, photos, signups, templates

routers = (
    templates.router,
    figures.router,
    signups.router,
    activities.router,
    attending.router,
    photos.router,
)
"""Those with fixed names first: what follows has an activity's id in the same place."""
