"""Linear algebra that operators share: transforms, solvers along axes, kernels."""
