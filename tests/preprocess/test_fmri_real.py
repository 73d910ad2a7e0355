"""A real mean echo-planar volume, out of a registry package, is brought to MNI152."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from scipy import ndimage

from medtools.io.nifti import open_volume
from medtools.preprocess.fmri.normalise import brain_mask, fit_normalisation
from medtools.preprocess.fmri.pipeline import grid_points
from medtools.preprocess.fmri.qc import Thresholds, dice
from medtools.preprocess.fmri.template import load_template

MEMBER = "brainiak/utils/sim_parameters/sub_template.nii.gz"


@pytest.fixture(scope="module")
def epi(tmp_path_factory):
    """brainiak's example subject: 53x63x46 voxels of 3 mm, brain and scalp, part of the cerebellum cut off."""
    folder = tmp_path_factory.mktemp("brainiak")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    options = ["--platform", "manylinux2014_x86_64", "--python-version", "3.11", "--dest", str(folder)]
    try:
        subprocess.run([*command, *options, "brainiak==0.12"], check=True, capture_output=True, timeout=300)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("brainiak==0.12 cannot be fetched here")
    with zipfile.ZipFile(next(folder.glob("brainiak-*.whl"))) as packed:
        packed.extract(MEMBER, folder)
    return open_volume(folder / MEMBER, ndim=3)


@pytest.mark.slow
def test_a_real_brain_whose_header_is_wrong_is_found_and_the_header_named(epi):
    # Its header says that the face looks to the back: eyes and frontal lobe lie at the low end of "anterior".
    template = load_template(3.0)
    mask = brain_mask(epi.data, epi.affine)
    assert 1.2 < mask.sum() * 27e-6 < 1.6
    for deformable, least in ((False, 0.92), (True, 0.95)):
        found = fit_normalisation(epi.data, mask, epi.affine, template, deformable)
        assert "faces backwards" in found.note
        voxels = np.linalg.inv(epi.affine) @ np.c_[found.apply(grid_points(template)), np.ones(template.brain.size)].T
        brain = (
            ndimage.map_coordinates(mask.astype(np.float32), voxels[:3], order=1).reshape(template.brain.shape) > 0.5
        )
        assert dice(brain, template.brain) > max(least, Thresholds().brain_overlap)
