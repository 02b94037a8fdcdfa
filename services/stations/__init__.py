"""驿站 stations. See README.md."""
