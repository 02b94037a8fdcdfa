"""HTTP of the riders service: companies, riders, outlets."""
