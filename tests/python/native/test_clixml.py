"""Objects, which are CliXml."""

from __future__ import annotations

import copy
import os
import pickle

import pytest

from virtualshell import _native
from virtualshell._native import Bridge, CliXml, Session

from .calls import into, leased_from, out_of


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5000])
def test_clixml_is_bytes(size: int) -> None:
    data = os.urandom(size)
    xml = CliXml(data)
    assert type(xml) is CliXml and isinstance(xml, bytes)
    assert xml == data and hash(xml) == hash(data)
    assert type(xml[:1]) is bytes
    assert copy.copy(xml) is xml and copy.deepcopy(xml) is xml
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(xml, protocol))
        assert type(again) is CliXml and again == data


def test_object_comes_and_goes_back(session: Session, bridge: Bridge) -> None:
    session.run("$made = [pscustomobject]@{Name = 'Tæst'; Values = 1..2000}")
    xml = out_of(session, bridge, "$made")
    assert type(xml) is CliXml and "Tæst" in xml.decode() and len(xml) > 4096
    assert hash(xml) == hash(bytes(xml)) and pickle.loads(pickle.dumps(xml)) == xml
    small = out_of(session, bridge, "(1, 'two')")
    assert type(small) is CliXml and hash(small) == hash(bytes(small))
    lease = leased_from(session, bridge, "$made")
    assert lease.kind == _native.KIND_CLIXML
    for back in (xml, lease, memoryview(xml), memoryview(lease)):
        into(session, bridge, back)
        assert session.run('"$($native.Name) $($native.Values.Count)"').out.strip() == "Tæst 2000"
    part = memoryview(lease)[1:]
    for plain in (bytes(xml), part):
        into(session, bridge, plain)
        assert session.run("$native.GetType().Name").out.strip() == "Byte[]"
    into(session, bridge, xml, kind=_native.KIND_BYTES)
    assert session.run("$native.GetType().Name").out.strip() == "Byte[]"
    into(session, bridge, bytes(xml), kind=_native.KIND_CLIXML)
    assert session.run("$native.Name").out.strip() == "Tæst"
