"""The program that type checkers check also runs."""

from pathlib import Path

import pytest

from tests.public import typed_program


def test_the_values_of_the_program_are_those_of_its_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # its directory is there until we end
    by_calls, by_awaits = typed_program.main()
    assert (by_calls, by_awaits) == (3, 5)
