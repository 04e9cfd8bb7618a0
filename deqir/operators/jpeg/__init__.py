"""JPEG compression: its layout, its coefficients, their errors, and the operator."""
