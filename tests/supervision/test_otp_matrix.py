"""The page of OTP's cases is what the tests say."""

from .otp_matrix import PAGE, carried, cases, page


def test_the_page_of_the_matrix_is_written_from_the_tests():
    assert PAGE.read_text() == page(), "run: python -m tests.supervision.otp_matrix"


def test_each_case_that_a_test_carries_is_one_of_a_suite():
    found = cases()
    assert sum(len(each) for each in found.values()) == 516
    assert [(suite, case) for suite, case in carried() if case not in found[suite]] == []
