"""The cases: originals, what happened to them, and the files that people have."""
