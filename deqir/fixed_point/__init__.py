"""The chain as one joint fixed point: the map, its Jacobian's surrogates, the solvers."""
