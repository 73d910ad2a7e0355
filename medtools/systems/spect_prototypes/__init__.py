"""Prototypical network for tissue crops of cardiac SPECT (2025, arXiv:2502.06632)."""
