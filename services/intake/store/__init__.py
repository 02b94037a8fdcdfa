"""All SQL of the intake service, by noun, and the object store of photos."""
