"""The program that type checkers check also runs."""

from tests.public import typed_program


def test_the_values_of_the_program_are_those_of_its_types() -> None:
    by_calls, by_awaits = typed_program.main()
    assert (by_calls, by_awaits) == (3, 5)
