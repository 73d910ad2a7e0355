"""Learning-free COVID-19 CT severity score (Dey et al., ICPR 2024)."""
