"""What tests of readers start from."""

import pytest
from dicom_series import CANARY, volume

from medtools.io.write_dicom import write_ct


@pytest.fixture
def series(tmp_path):
    """A folder with a good series of 6 slices, 3 mm apart, pixels of 0.8 by 0.7 mm."""
    write_ct(tmp_path / "ct", volume(), (3.0, 0.8, 0.7), name=CANARY, description="axial")
    return tmp_path / "ct"
