"""Layers and architectures of the networks."""
