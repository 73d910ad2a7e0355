"""ROI time series as BIDS writes them: one TSV with ROI names in the header, and its JSON side-car."""

from __future__ import annotations

from pathlib import Path

from medtools.core.atomic import write_json, write_text
from medtools.io.timeseries import RoiSeries


def write_series(path: str | Path, series: RoiSeries, *, description: str = "") -> None:
    """Write a series and its side-car; numbers keep every digit, so reading gives the same bits back.

    Parameters
    ----------
    path : str or Path
        Ends in `.tsv`; the side-car has the same stem and `.json`.
    series : RoiSeries
        What to write. The side-car says `RepetitionTime` in seconds where the series has one.
    description : str
        Goes to the side-car.
    """
    lines = ["\t".join(series.roi_names)]
    lines += ["\t".join(map(repr, row)) for row in series.values.T.tolist()]
    sidecar: dict[str, float | str] = {} if series.tr_ms is None else {"RepetitionTime": series.tr_ms / 1000.0}
    if description:
        sidecar["Description"] = description
    write_json(Path(path).with_suffix(".json"), sidecar)
    write_text(path, "\n".join(lines) + "\n")
