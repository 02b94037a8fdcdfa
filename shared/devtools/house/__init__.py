"""The house's own rules, each a function from a folder to its violations: `python -m shared.devtools.house`."""
