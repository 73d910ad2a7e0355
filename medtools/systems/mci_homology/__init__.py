"""Persistent homology of fMRI time series for staging mild cognitive impairment (ICPR 2024)."""
