"""`make demo`: a city's day on real servers. `__main__` is the order of events; each file here is one part in it."""
