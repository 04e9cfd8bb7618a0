"""The worker: one shard from reading to commit."""
