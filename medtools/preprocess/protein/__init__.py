"""Protein structures: cleaning, atom typing, pocket candidates, density grids and training targets."""
