"""Transport to the outside: signed webhooks, and apprise for mail and group bots."""
