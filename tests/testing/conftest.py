"""The plans of simulations that fail are in the test's own directory."""

import tempfile

import pytest


@pytest.fixture(autouse=True)
def plans_are_kept_with_the_test(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
