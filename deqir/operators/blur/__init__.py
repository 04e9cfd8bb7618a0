"""Degradations by a convolution."""
