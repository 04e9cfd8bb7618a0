"""The Prefect flow, and the pages of its runs."""
