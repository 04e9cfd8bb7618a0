"""Inputs of a restoration beside the image: operators, masks, guides, references, noise."""
