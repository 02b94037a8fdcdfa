"""One generator of city, people and load: for the demo, the benchmark, tests under faults and `beegrid loadtest`."""
