"""Checks of an installation: settings, stores, server, deployments."""
