"""HTTP of the tracking service."""

from services.tracking.api import pages, reports

routers = (reports.router, pages.router)
