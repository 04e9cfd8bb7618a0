"""Image files: pixels and metadata, read and written."""
