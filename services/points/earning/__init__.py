"""What earns how much, and out of which budget: rules as data, deeds, budgets."""
