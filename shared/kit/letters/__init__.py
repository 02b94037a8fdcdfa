"""Dead letters: stored whole, published on the partner topic, bounded, and the limit at which a topic stands still."""
