"""Execution of shards on Ray actors."""
