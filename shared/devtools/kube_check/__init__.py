"""Checks of the image, of docker-compose.yml and of k8s/, none of which can be run where there is no engine."""
