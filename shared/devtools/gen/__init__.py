"""Everything that is generated from the contracts and the code: `make gen` writes it, `--check` proves it is
current."""
