"""Published networks: their files, formats and architectures."""
