"""What every service needs and no business word: settings, clock, database, outbox, inbox, consumers, HTTP, auth."""
