"""What the service does; each use case is one unit of work."""
