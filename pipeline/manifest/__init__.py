"""The manifest: one row for each input, in Parquet."""
