"""From Kafka to a handler: fetching, reading with care, batches and their culprits, standing still, replay."""
