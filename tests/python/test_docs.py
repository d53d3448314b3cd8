"""The code in the documents runs, in each document's order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_code_of(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    assert blocks, f"{name} has no Python code"
    namespace: Dict[str, object] = {"__name__": "document"}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{name}, block {number}", "exec"), namespace)


def test_the_readme_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    run_code_of("README.md")
    assert capsys.readouterr().out.split() == ["Tuesday", "17000", "b'nohtyP'"]


def test_the_code_of_the_python_guide_runs() -> None:
    run_code_of("docs/python-api.md")
