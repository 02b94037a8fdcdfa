"""The release before this one, and what it still needs: its migrations as they are, a schema on which its code works."""
