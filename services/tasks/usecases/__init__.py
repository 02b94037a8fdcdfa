"""What the service does; each use case is a part of one unit of work."""
