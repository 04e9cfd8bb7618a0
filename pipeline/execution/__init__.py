"""Execution of shards: the seam, the queue, this process."""
