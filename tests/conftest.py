"""What holds for all tests."""

import signal

from hypothesis import HealthCheck, settings

# How fast an example is drawn and run tells of the machine, and of what else it does.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Let signals end what they end in a terminal, here and in each process that a test starts.

    A shell's background job ignores SIGINT, and what `nohup` starts ignores SIGHUP; so would
    everything below it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
