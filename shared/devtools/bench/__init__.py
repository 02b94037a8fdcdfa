"""`make bench`: five hops on real servers, as ratios to a yardstick taken in the same run."""
