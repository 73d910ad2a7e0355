"""Simulated runs as a BIDS folder, with what was planted beside them."""

from __future__ import annotations

from pathlib import Path

from medtools.core.atomic import write_json
from medtools.core.tables import write_tsv
from medtools.io.nifti import write_volume
from medtools.io.timeseries import make_series
from medtools.io.write_series import write_series
from medtools.preprocess.fmri.rigid import PARAMETERS
from medtools.preprocess.fmri.simulate import SimulatedBold

_DESCRIPTION = "Simulated functional MRI; no person was scanned."


def write_run(root: Path, subject: str, bold: SimulatedBold, roi_names: tuple[str, ...]) -> list[Path]:
    """Write one run as `<root>/<subject>/func/<subject>_task-rest_bold.nii.gz`, its side-car, and its truth.

    The truth goes to `<root>/derivatives/truth`, where a search for runs does not look: planted series, motion, and
    the matrix from the head's to MNI millimetres.

    Parameters
    ----------
    root : Path
        BIDS folder.
    subject : str
        `sub-` and a label.
    bold : SimulatedBold
    roi_names : tuple of str
        One per planted series.

    Returns
    -------
    list of Path
        Files written.
    """
    stem = root / subject / "func" / f"{subject}_task-rest_bold"
    image, sidecar = stem.with_name(stem.name + ".nii.gz"), stem.with_name(stem.name + ".json")
    write_volume(image, bold.data, bold.affine, tr_ms=bold.scanner.tr_ms)
    times = {"SliceTiming": [round(float(time), 6) for time in bold.scanner.slice_times]}
    about = {"TaskName": "rest", "RepetitionTime": bold.scanner.tr_ms / 1e3, "Description": _DESCRIPTION}
    write_json(sidecar, about | (times if bold.scanner.interleaved else {}))
    truth = root / "derivatives" / "truth"
    series = truth / f"{subject}_planted_timeseries.tsv"
    write_series(series, make_series(bold.series, roi_names, bold.scanner.tr_ms, series.name), description=_DESCRIPTION)
    motion = truth / f"{subject}_motion.tsv"
    write_tsv(motion, PARAMETERS, [dict(zip(PARAMETERS, pose, strict=True)) for pose in bold.motion.tolist()])
    matrix = truth / f"{subject}_mni-from-head.json"
    write_json(matrix, {"mni_from_head": bold.mni_from_head.tolist()})
    return [image, sidecar, series, series.with_suffix(".json"), motion, matrix]


def write_dataset(root: Path, groups: dict[str, str]) -> list[Path]:
    """Write `dataset_description.json` and `participants.tsv`.

    Parameters
    ----------
    root : Path
    groups : dict
        Subject (`sub-...`) to group.
    """
    description, people = root / "dataset_description.json", root / "participants.tsv"
    write_json(description, {"Name": _DESCRIPTION, "BIDSVersion": "1.9.0", "DatasetType": "raw"})
    rows = [{"participant_id": subject, "group": group} for subject, group in groups.items()]
    write_tsv(people, ["participant_id", "group"], rows)
    return [description, people]
