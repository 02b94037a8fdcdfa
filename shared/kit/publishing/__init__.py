"""From the outbox to Kafka: the relay that leads, sending in order, and what Kafka refuses."""
