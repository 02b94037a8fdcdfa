"""All SQL of the service, by noun."""
