"""Commands that return 10 MB of text, against PowerShell formatting the same for nobody."""

from __future__ import annotations

from functools import partial

from virtualshell import Shell

from measure import Effort, Figures, median, summarize, timed

TEXTS = {
    "one 10 MB string": ("$text = 'x' * 10000000", 10_000_000),
    "100,000 lines of 100": ("$text = @('x' * 100) * 100000", 10_100_000),
}


def measure_text(shell: Shell, effort: Effort) -> Figures:
    figures: Figures = {"texts": {}, "summary": {}}
    for name, (prepare, size) in TEXTS.items():
        shell.run(prepare, raise_on_error=True)
        whole, formatting = [], []
        for _ in range(effort.of(3, 15) + 1):
            whole.append(timed(partial(run_all, shell, size)))
            formatting.append(timed(lambda: shell.run("$text | Out-String | Out-Null")))
        figures["texts"][name] = {
            "bytes": size,
            "seconds": median(whole[1:]),
            "formatting_seconds": median(formatting[1:]),
        }
        figures["summary"][f"run that returns {name}"] = summarize(whole[1:])
    shell.run("$text = $null")
    return figures


def run_all(shell: Shell, size: int) -> str:
    text = shell.run("$text", raise_on_error=True).out
    if len(text.strip()) != size - (size > 10_000_000):
        raise SystemExit(f"a text of {size} characters arrived with {len(text)}")
    return text
