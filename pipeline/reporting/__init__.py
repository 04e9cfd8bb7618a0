"""Reports from plans and manifests: counts, examples, work to do."""
