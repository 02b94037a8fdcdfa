"""What a station is, when it is open, and what of it others may read. Pure."""
