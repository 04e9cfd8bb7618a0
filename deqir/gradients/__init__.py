"""Gradients through the equilibrium, and the search for a better initial noise."""
