"""Persistent homology of time series: embedding, Vietoris-Rips diagrams, their distances, statistics, plots."""
