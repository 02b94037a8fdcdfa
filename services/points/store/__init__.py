"""All SQL of the ledger, by noun."""
