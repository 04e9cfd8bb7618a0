"""The plan of a job: which inputs, in which shards, under which output keys."""
