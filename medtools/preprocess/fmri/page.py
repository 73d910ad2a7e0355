"""One page to flip through the runs of a cohort: verdict, reasons and figures of each, worst first."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any
from urllib.parse import quote

_ORDER = {"FAIL": 0, "WARN": 1, "PASS": 2}


def quality_page(runs: Sequence[Mapping[str, Any]], figures: Sequence[str]) -> str:
    """Return an HTML page that shows the figures beside it, without scripts and without the network.

    Parameters
    ----------
    runs : sequence of mapping
        Rows of the quality table: `id`, `status`, `reasons` and measures.
    figures : sequence of str
        Names of the figures of each run, in the order of the page; empty where none were drawn.
    """
    ordered = sorted(runs, key=lambda run: (_ORDER[run["status"]], run["id"]))
    counts = ", ".join(f"{sum(run['status'] == name for run in runs)} {name}" for name in ("PASS", "WARN", "FAIL"))
    return _PAGE.substitute(counts=counts, runs="\n".join(_section(run, figures) for run in ordered))


def _section(run: Mapping[str, Any], figures: Sequence[str]) -> str:
    name = html.escape(run["id"])
    moved = run.get("mean_fd_mm") is not None
    drawn = [figure for figure in figures if run["status"] != "FAIL" and (moved or figure != "motion")]
    pictures = "".join(
        f'<a href="{path}"><img loading="lazy" alt="" src="{path}"></a>'
        for path in (quote(f"{run['id']}/{run['id']}_{figure}.png") for figure in drawn)
    )
    verdict = f'<b class="{run["status"]}">{run["status"]}</b> {html.escape(run["reasons"])}'
    return f"<section><h2>{name}</h2><p>{verdict}</p><div>{pictures}</div></section>"


_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Functional runs</title>
<style>
body {font: 15px/1.4 system-ui, sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #222}
section {border-top: 1px solid #ccc}
section div {display: grid; grid-template-columns: repeat(auto-fit, minmax(20em, 1fr)); gap: 1em; align-items: start}
img {width: 100%}
.PASS {color: #009e73} .WARN {color: #d55e00} .FAIL {color: #b00020}
</style></head><body>
<h1>Functional runs</h1>
<p>$counts; what each measure means: qc.json, values: qc.tsv.</p>
<img alt="Measures of all runs and their thresholds" src="qc.png">
$runs
</body></html>
""")
