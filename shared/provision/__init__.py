"""From declarations to databases, roles, topics, users and rights, the same everywhere."""
