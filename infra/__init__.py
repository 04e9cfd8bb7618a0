"""The whole stack on a single machine, and files to run it in containers elsewhere."""
