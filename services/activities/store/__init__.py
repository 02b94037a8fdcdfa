"""All SQL of the activities service."""
