"""Marks the tests that play many seeds, for tests/mutations.py, which plays them itself."""


def pytest_configure(config) -> None:
    config.addinivalue_line("markers", "seeds: plays many seeds of the simulation")
