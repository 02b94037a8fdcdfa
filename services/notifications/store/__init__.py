"""All SQL of the service, by noun: messages, people, webhooks, deliveries."""
