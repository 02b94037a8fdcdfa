"""`python -m shared.devtools.aged`: a suite as it is in a city's third year."""
