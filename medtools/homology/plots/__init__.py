"""Figures of the homology pipeline: arrays in, matplotlib figures out."""
