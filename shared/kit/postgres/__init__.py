"""The database: the pool, rows by name, kept numbers, how long tables keep their rows, group commit."""
