"""The whole stack on one machine, and what it takes elsewhere."""
