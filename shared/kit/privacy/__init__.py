"""What is about a person: which columns, whose an event is, masked words, and forgetting a rider."""
