"""Lungs by threshold, and lobes by lungmask's networks from weight files."""

import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.metrics.segmentation import dice
from medtools.preprocess.ct.lobes import check_weights, segment_lobes
from medtools.preprocess.ct.lungs import LEFT, RIGHT, segment_lungs
from medtools.systems.covid_severity.phantom import make_phantom


@pytest.fixture(scope="module")
def scan():
    """A healthy phantom."""
    return make_phantom(np.random.default_rng(0), 96, 32, fractions=(0.0,) * 5, motion=False)


def test_both_lungs_are_found_on_their_sides(scan):
    lungs = segment_lungs(scan.hu, scan.spacing)

    for number, lobes in ((RIGHT, (3, 4, 5)), (LEFT, (1, 2))):
        assert dice(lungs == number, np.isin(scan.lobes, lobes)) > 0.93


def test_the_dome_of_the_diaphragm_is_not_lung(scan):
    lungs = segment_lungs(scan.hu, scan.spacing)
    dome = (scan.lobes == 0) & (scan.hu > -100)

    assert (lungs[dome] > 0).mean() < 0.02


def test_a_vessel_inside_the_lung_is_filled(scan):
    hu = scan.hu.copy()
    z, y, x = np.nonzero(scan.lobes == 3)
    centre = tuple(slice(int(np.median(axis)) - 2, int(np.median(axis)) + 2) for axis in (z, y, x))
    hu[centre] = 60

    assert segment_lungs(hu, scan.spacing)[centre].all()


def test_air_outside_the_body_and_in_an_airway_is_not_lung(scan):
    hu = scan.hu.copy()
    z, y, x = np.ogrid[: hu.shape[0], : hu.shape[1], : hu.shape[2]]
    trachea = ((y - 40) ** 2 + (x - 48) ** 2 < 9) & (z < 12)
    hu[trachea & (scan.lobes == 0)] = -1000

    lungs = segment_lungs(hu, scan.spacing)

    assert not lungs[trachea & (scan.lobes == 0)].any()
    assert not lungs[:, 0].any()


def test_an_abdomen_has_no_lungs(scan):
    with pytest.raises(InputError, match="no two separate lungs"):
        segment_lungs(np.where(scan.lobes > 0, 40, scan.hu), scan.spacing)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """State dictionaries of lungmask's own network, which sees lung (or the left lower lobe) everywhere."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("lungmask")
    from lungmask.resunet import UNet

    folder = tmp_path_factory.mktemp("weights")
    for name, classes, winner in (("lobes", 6, 2), ("fill", 3, 1)):
        with torch.device("meta"):
            net = UNet(n_classes=classes, padding=True, depth=5, up_mode="upsample", batch_norm=True, residual=False)
        # Zeros that share one stored number keep the file small; only the last bias says anything.
        state = {key: torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in net.state_dict().items()}
        state[list(state)[-1]] = torch.nn.functional.one_hot(torch.tensor(winner), classes).float()
        torch.save(state, folder / f"{name}.pth")
    return folder


def test_lobes_come_from_the_networks_in_the_users_files(weights, scan):
    lobes = segment_lobes(scan.hu[15:16], weights / "lobes.pth", weights / "fill.pth", batch_size=2)

    # lungmask looks at the body only: all of it gets the one label that these networks know.
    assert lobes.shape == (1, 96, 96)
    assert set(np.unique(lobes)) == {0, 2}
    assert (lobes[:, 48, 30:66] == 2).all()


@pytest.mark.parametrize("which", ["lobe", "fill"])
def test_a_missing_weight_file_says_how_to_get_it(tmp_path, which):
    with pytest.raises(InputError, match=rf"no such {which} weight file; download unet_.*pth .*--{which}-weights"):
        check_weights(tmp_path / "gone.pth", 6, which)


def test_weights_of_another_network_are_refused(weights, tmp_path):
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match="a network of 3 classes, expected 6"):
        check_weights(weights / "fill.pth", 6, "lobe")
    torch.save({"a": torch.zeros(6)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="not the state dictionaries of lungmask's U-Net"):
        segment_lobes(np.zeros((1, 8, 8)), tmp_path / "other.pth", weights / "fill.pth")
    (tmp_path / "broken.pth").write_bytes((weights / "fill.pth").read_bytes()[:1000])
    with pytest.raises(InputError, match="no readable state dictionary"):
        check_weights(tmp_path / "broken.pth", 3, "fill")


class _Code:
    """Unpickling this would run code."""

    def __reduce__(self):
        return print, ("code ran",)


def test_a_weight_file_that_holds_code_is_refused_unread(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    torch.save({"a": _Code()}, tmp_path / "evil.pth")

    with pytest.raises(InputError, match="no readable state dictionary"):
        check_weights(tmp_path / "evil.pth", 6, "lobe")
    assert "code ran" not in capsys.readouterr().out
