"""One service in one process: what app.py says of it (wiring), and how it runs, works by the clock and is probed."""

from shared.kit.service.given import Given, Reading
from shared.kit.service.wiring import CurrentService, Service

__all__ = ["CurrentService", "Given", "Reading", "Service"]
