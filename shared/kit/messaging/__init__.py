"""The unit of work and what both ways of Kafka share: the inbox, envelopes from outside, tombstones, the connection."""
