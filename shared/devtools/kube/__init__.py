"""Kubernetes manifests made from the registry, the settings and the front door's routes, for the generator."""
