"""The sampling chain: noise levels, noise, one step, all steps in sequence."""
