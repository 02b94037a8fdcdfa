"""Riders' points: a ledger of value. See README.md."""
