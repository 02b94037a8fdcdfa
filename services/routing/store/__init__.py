"""All SQL of routing, by noun."""
