"""HTTP in, by who calls."""
