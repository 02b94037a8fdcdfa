"""The contracts between services: one file an event, each with its Topic and its model. Start at registry.py."""
