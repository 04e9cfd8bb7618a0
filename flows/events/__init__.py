"""Storage events: from word of new objects to runs of a deployment, a batch of keys each."""
