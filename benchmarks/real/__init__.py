"""Realistic images restored through the product, and judged: python -m benchmarks.real"""
