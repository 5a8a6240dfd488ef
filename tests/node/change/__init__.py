"""Tests of the crash-safe change of files."""
