"""Chest CT: checked HU volumes with a lobe or lung mask."""
