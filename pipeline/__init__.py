"""What happens to an archive: its objects, its shards and the rows that tell of them."""
