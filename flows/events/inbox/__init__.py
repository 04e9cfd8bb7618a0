"""The inbox: keys to be restored, kept on disk."""
