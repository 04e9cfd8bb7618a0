"""Starter networks: they make the images from which chains start."""
