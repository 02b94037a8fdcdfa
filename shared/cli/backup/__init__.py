"""The whole suite to one folder and back: every schema, photos, and what consumers had not yet read from Kafka."""
