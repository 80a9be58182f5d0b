"""`@otp(suite, case, ...)`: the cases of Elixir's and OTP's own suites that a test plays here."""

from collections.abc import Callable
from typing import TypeVar

Test = TypeVar("Test", bound=Callable[..., object])


def otp(_suite: str, *_cases: str) -> Callable[[Test], Test]:
    return lambda test: test
