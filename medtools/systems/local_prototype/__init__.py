"""Location-sensitive local prototypes: one-shot organ segmentation (Yu et al., 2021)."""
