"""The floor of the benchmark: the same five hops bare, in one process. What it costs, no arrangement goes below."""
