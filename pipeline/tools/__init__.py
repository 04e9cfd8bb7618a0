"""Work on an archive beside restoring it."""
