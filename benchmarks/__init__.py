"""Each figure in the documentation has its command here."""
