"""DRIVPocket: protein binding sites from voxels and rotation-invariant points."""
