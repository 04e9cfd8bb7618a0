"""What the documents say of the program is what the program does."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
import typer

from flows.cli import app
from flows.options.table import options_page
from pipeline.manifest.schema import ManifestRow
from tests.processes import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("samples/*.md")])


def commands(group: object, path: str = "deqir") -> list[str]:
    """Every command of the command line, as one types it."""
    found = list[str]()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        here = f"{path} {name}"
        found += commands(command, here) if hasattr(command, "commands") else [here]
    return found


COMMANDS = commands(typer.main.get_command(app))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme_or_a_document(command) -> None:
    assert any(command in document.read_text() for document in DOCUMENTS)


def test_every_command_that_a_document_shows_exists() -> None:
    groups = {command.split()[1] for command in COMMANDS}
    for document in DOCUMENTS:
        for shown in re.findall(r"^ {4}deqir (\w+)", document.read_text(), re.MULTILINE):
            assert shown in groups, f"{document.name} shows deqir {shown}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(document) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_readmes_python_runs(capsys) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out == "torch.Size([2, 3, 128, 128]) 3 3\n"


def test_every_column_of_the_manifest_is_explained() -> None:
    told = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "manifest.md").read_text()))
    assert {column.name for column in fields(ManifestRow)} <= told


def test_the_table_of_options_is_made_from_the_fields_of_a_job() -> None:
    made = "run: python -m flows.options.table > docs/options.md"
    assert (ROOT / "docs" / "options.md").read_text() == options_page(), made
