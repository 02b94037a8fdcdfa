"""Reports and photos come in here, from companies and from riders."""
