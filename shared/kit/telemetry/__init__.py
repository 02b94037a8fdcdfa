"""Logs and traces: what an engineer reads afterwards. The metrics are one list, in kit/metrics.py."""
