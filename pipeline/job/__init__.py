"""A job from settings to summary."""
