"""PRNet in two dimensions: anatomical coordinates learned from image patches (Khan et al., 2025)."""
