"""All SQL of the badges service, and the boards in Redis."""
