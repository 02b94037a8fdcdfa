"""All SQL of the screening service."""
