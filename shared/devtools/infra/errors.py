"""What goes wrong with local servers."""


class InfraError(RuntimeError):
    """A local server can't be found, didn't start, or went away; the text says why and shows the end of its log."""
