"""HTTP of the intake service: reports and photos."""
