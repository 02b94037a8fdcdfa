"""`make compose-check`: docker-compose.yml in a real engine, used as an operator would, with faults made on purpose."""
