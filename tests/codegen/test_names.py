"""Names are the field's, stable, and never numbered."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from codegen.errors import CodegenError
from codegen.names import Names, pascal, singular, snake


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("availability-zone", "availability_zone"),
        ("k8s-versions", "k8s_versions"),
        ("Floating IPs", "floating_ips"),
        ("minSize", "min_size"),
        ("from", "from_"),
        ("2fa", "n2_fa"),
        ("ipv4", "ipv4"),
        ("S3", "s3"),
        ("AI Agents", "ai_agents"),
    ],
)
def test_snake(text: str, expected: str) -> None:
    assert snake(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("servers-preset", "ServersPreset"), ("dns-record-v2", "DnsRecordV2"), ("imageDownload", "ImageDownload")],
)
def test_pascal(text: str, expected: str) -> None:
    assert pascal(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Disks", "Disk"),
        ("Statuses", "Statuses"),
        ("DiskStatus", "DiskStatus"),
        ("Repositories", "Repository"),
        ("Branches", "Branch"),
        ("Os", "Os"),
    ],
)
def test_singular(text: str, expected: str) -> None:
    assert singular(text) == expected


@given(st.text())
def test_snake_is_always_an_identifier(text: str) -> None:
    assert snake(text).isidentifier()


def test_the_lock_wins_and_remembers_what_is_new(tmp_path: Path) -> None:
    lock = tmp_path / "names.lock"
    lock.write_text('{"/components/schemas/vds": "Server", "/components/schemas/gone": "Gone"}')
    names = Names.read(lock)
    assert names.class_name("/components/schemas/vds", "Vds") == "Server"
    assert names.class_name("/components/schemas/disk", "Disk") == "Disk"
    names.write(lock)
    assert Names.read(lock).locked == {"/components/schemas/disk": "Disk", "/components/schemas/vds": "Server"}


def test_names_that_collide_are_told_apart_without_numbers() -> None:
    names = Names()
    given_names = [
        names.class_name(f"/components/schemas/{spelling}", pascal(spelling))
        for spelling in ("Meta", "meta", "META", "meta-v2")
    ]
    assert len(set(given_names)) == 4
    assert not any(name[-1].isdigit() for name in given_names)


def test_a_lock_that_is_no_json_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "names.lock"
    lock.write_text("<<<<<<< HEAD\n{}", encoding="utf-8")
    with pytest.raises(CodegenError, match=r"names\.lock: not a readable JSON document"):
        Names.read(lock)


def test_a_name_locked_twice_is_refused() -> None:
    names = Names({"/components/schemas/a": "Same", "/components/schemas/b": "Same"})
    names.class_name("/components/schemas/a", "A")
    with pytest.raises(CodegenError, match="'Same' is used twice"):
        names.class_name("/components/schemas/b", "B")


def test_an_argument_is_locked_only_where_it_differs_from_the_wire() -> None:
    names = Names()
    assert names.argument("/x", "limit") == "limit"
    assert names.argument("/y", "min-size") == "min_size"
    assert names.given == {"/y": "min_size"}
