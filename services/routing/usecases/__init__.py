"""What routing does, by noun."""
