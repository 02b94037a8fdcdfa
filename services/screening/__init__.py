"""反作弊 screening. See README.md."""
