"""Networks that make the picture a chain starts from."""
