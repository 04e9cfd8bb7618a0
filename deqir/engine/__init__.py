"""Continuous batching: many images of any size on their way at once."""
