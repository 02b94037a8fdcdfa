"""How large a city's suite must be: from what `make bench` measured to partitions, pods, servers and disks."""
