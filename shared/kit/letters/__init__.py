"""Dead letters: stored whole, told on the topic's partner, bounded, and the limit at which a topic stands still."""
