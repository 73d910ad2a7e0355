"""Rigid motion in millimetres: six parameters, their 4x4 matrix, and framewise displacement."""

from __future__ import annotations

import numpy as np

HEAD_RADIUS_MM = 50.0
PARAMETERS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


def rigid_matrix(parameters: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Build the matrix of `y = Rx Ry Rz (x - centre) + centre + translation`.

    Parameters
    ----------
    parameters : (6,) array
        Translations along x, y, z in mm, then rotations about x, y, z in radians.
    centre : (3,) array
        Fixed point of the rotation in mm.

    Returns
    -------
    (4, 4) float64 array
    """
    translation, angles = np.asarray(parameters[:3], dtype=np.float64), np.asarray(parameters[3:], dtype=np.float64)
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_x @ about_y @ about_z
    matrix[:3, 3] = centre + translation - matrix[:3, :3] @ centre
    return matrix


def rigid_parameters(matrix: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Invert `rigid_matrix` for rotations below 90 degrees.

    Parameters
    ----------
    matrix : (4, 4) array
        Rotation and translation in mm.
    centre : (3,) array
        Fixed point of the rotation in mm.

    Returns
    -------
    (6,) float64 array
        Translations in mm, rotations in radians.
    """
    rotation = matrix[:3, :3]
    angles = (
        np.arctan2(-rotation[1, 2], rotation[2, 2]),
        np.arcsin(np.clip(rotation[0, 2], -1.0, 1.0)),
        np.arctan2(-rotation[0, 1], rotation[0, 0]),
    )
    translation = matrix[:3, 3] - centre + rotation @ centre
    return np.array([*translation, *angles])


def framewise_displacement(parameters: np.ndarray, radius_mm: float = HEAD_RADIUS_MM) -> np.ndarray:
    """Sum the absolute changes of the six parameters from one volume to the next.

    Rotations count as arcs on a sphere of `radius_mm` (Power et al. 2012, NeuroImage 59:2142).

    Parameters
    ----------
    parameters : (n_volumes, 6) array
        Translations in mm, rotations in radians.

    Returns
    -------
    (n_volumes,) float64 array
        In mm; 0 for the first volume.
    """
    steps = np.abs(np.diff(parameters, axis=0, prepend=parameters[:1]))
    return steps[:, :3].sum(axis=1) + radius_mm * steps[:, 3:].sum(axis=1)
