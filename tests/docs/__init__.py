"""Tests of the pages under docs/ and beside them."""
