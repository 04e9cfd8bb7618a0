"""Display on a terminal: summaries, progress, exit status."""
