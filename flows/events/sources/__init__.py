"""Sources of storage events: queues, webhooks, listings."""
