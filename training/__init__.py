"""The recipe of a pyramid prior: its photographs, its training and its evaluation."""
