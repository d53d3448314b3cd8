"""The extension's module: what it names, as its stub does, and its types."""

from __future__ import annotations

import ast
import gc
import importlib.util
import inspect
import weakref
from pathlib import Path
from typing import Iterator, List

import pytest

from virtualshell import _native
from virtualshell._native import Lease, Session


def stub() -> ast.Module:
    return ast.parse(Path(_native.__file__).with_name("_native.pyi").read_text(encoding="utf-8"))


def stub_names(body: List[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_stub_names_what_is_there() -> None:
    public = {name for name in vars(_native) if not name.startswith("_")}
    assert public == set(stub_names(stub().body))


def test_stub_names_the_members() -> None:
    for node in stub().body:
        if isinstance(node, ast.ClassDef):
            defined = set(vars(getattr(_native, node.name)))
            named = {name for name in stub_names(node.body)} - {"__init__", "__buffer__"}
            assert named <= defined, node.name
            assert {name for name in defined if not name.startswith("_")} <= named, node.name


def test_stub_has_the_parameters() -> None:
    for node in stub().body:
        if not isinstance(node, ast.ClassDef):
            continue
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and not method.decorator_list:
                owner = getattr(_native, node.name)
                if method.name.startswith("__"):
                    continue
                actual = inspect.signature(getattr(owner, method.name)).parameters
                assert list(actual) == [argument.arg for argument in method.args.args], method.name


@pytest.mark.parametrize("name", ["Session", "Bridge", "Lease", "Result"])
def test_types_are_final(name: str) -> None:
    with pytest.raises(TypeError):
        type("Derived", (getattr(_native, name),), {})


def test_no_lease_out_of_nothing() -> None:
    with pytest.raises(TypeError):
        Lease()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        object.__new__(Lease)


def test_second_copy_of_the_module_goes_when_dropped() -> None:
    spec = importlib.util.spec_from_file_location("virtualshell._native", _native.__file__)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.Session is not Session
    types = [weakref.ref(value) for value in vars(module).values() if isinstance(value, type)]
    assert len(types) == 9
    del module, spec
    gc.collect()
    assert [type() for type in types] == [None] * 9
