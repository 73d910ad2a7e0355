"""Landmarks in SPECT slices by a propagation-reconstruction network."""
