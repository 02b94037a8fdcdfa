"""All SQL of the stations service."""
