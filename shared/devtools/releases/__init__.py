"""The release before this one, and what it needs: migrations that stay as they are, a schema on which it works."""
