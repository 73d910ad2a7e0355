"""Planar scintigrams."""
