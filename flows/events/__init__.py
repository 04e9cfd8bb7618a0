"""Turn storage events about new objects into runs of a deployment, each for a batch of keys."""
