"""Runs of a deployment, one for each batch of keys."""
