"""Functional MRI: BIDS NIfTI to regional time series."""
