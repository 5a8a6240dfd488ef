"""Tests of the checks before a change."""
