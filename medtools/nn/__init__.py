"""Blocks and networks that at least two systems use."""
