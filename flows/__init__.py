"""Orchestration: the Prefect flow over the pipeline, and the command line."""
