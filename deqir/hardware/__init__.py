"""Devices: memory, recorded calls, fused kernels."""
