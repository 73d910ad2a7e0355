"""What a paper that uses a run has to say: methods paragraph, parameters, software, citations."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from string import Template
from typing import Any

from medtools.core.lineage import Step
from medtools.preprocess import registry as modalities
from medtools.systems import registry


def methods_page(steps: Sequence[Step]) -> str:
    """Return an HTML page for the stages that were run, from their records and the cards of their systems.

    Parameters
    ----------
    steps : sequence of Step
        Records below a results folder (`lineage.find_steps`).
    """
    stages = {str(step.record["stage"]): step.record for step in steps}
    makers = {stage.name: name for name in registry.names() for stage in registry.stages(name).values()}
    own = {name: name.split()[-1] for name in stages if name.split()[-1] in registry.names()}
    systems = list(dict.fromkeys(own.get(name, makers.get(name)) for name in stages if name in own or name in makers))
    version = ", ".join(sorted({str(record["medtools"]) for record in stages.values()}))
    cards = [registry.card(name).content for name in systems if name is not None]
    texts = [*_preprocessing(stages), *(str(card["methods"]) for card in cards)]
    return _PAGE.substitute(
        methods="\n".join(f"<p>{html.escape(' '.join(text.format(version=version).split()))}</p>" for text in texts),
        parameters="\n".join(_parameters(name, record["params"]) for name, record in sorted(stages.items())),
        software=_software(stages.values(), version),
        citations="\n".join(f"<p>{html.escape(' '.join(str(card['citation']['text']).split()))}</p>" for card in cards),
        bibtex=html.escape("\n\n".join(str(card["citation"]["bibtex"]).strip() for card in cards)),
    )


def _preprocessing(stages: Iterable[str]) -> list[str]:
    known = modalities.modalities()
    used = [name.split()[1] for name in stages if name.startswith("preprocess ") and name.split()[1] in known]
    return [text for name in dict.fromkeys(used) if (text := modalities.methods(name))]


def _parameters(stage: str, params: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(key)}</td><td>{html.escape(_shown(value))}</td></tr>" for key, value in params.items()
    )
    return f"<details><summary>medtools {html.escape(stage)}</summary><table>{rows}</table></details>"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def _software(records: Iterable[Mapping[str, Any]], version: str) -> str:
    versions: dict[str, set[str]] = {}
    for record in records:
        for name, found in {"Python": record["python"], **record["packages"]}.items():
            versions.setdefault(name, set()).add(str(found))
    listed = [f"medtools {version}", *(f"{name} {', '.join(sorted(found))}" for name, found in versions.items())]
    return html.escape("; ".join(listed))


_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Methods, software, citations</title>
<style>
body {font: 15px/1.5 system-ui, sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em; color: #222}
td {padding: 0 1.5em 0 0; vertical-align: top} pre {white-space: pre-wrap}
</style></head><body>
<h1>Methods</h1>
<p><small>A draft to be adapted: it says what the stages do, the tables below with which parameters.</small></p>
$methods
<h1>Parameters</h1>
$parameters
<h1>Software</h1>
<p>$software</p>
<h1>To be cited</h1>
$citations
<pre>$bibtex</pre>
<p><small>For research; not a medical device.</small></p>
</body></html>
""")
