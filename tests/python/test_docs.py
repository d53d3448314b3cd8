"""The code in the documents runs, in each document's order, and prints what the document shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List

import pytest

ROOT = Path(__file__).resolve().parents[2]


def blocks_of(name: str, language: str) -> List[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    assert blocks, f"{name} has no block of {language}"
    return blocks


def run_code_of(name: str) -> None:
    namespace: Dict[str, object] = {"__name__": "document"}
    for number, block in enumerate(blocks_of(name, "python"), 1):
        exec(compile(block, f"{name}, block {number}", "exec"), namespace)


def test_the_readme_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    run_code_of("README.md")
    shown = "".join(blocks_of("README.md", "text"))
    assert capsys.readouterr().out.splitlines() == shown.splitlines()


def test_the_code_of_the_python_guide_runs() -> None:
    run_code_of("docs/python-api.md")
