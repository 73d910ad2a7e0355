"""ComBat, local-efficiency weighting and a community-interaction transformer for autism (Yang et al., 2024)."""
