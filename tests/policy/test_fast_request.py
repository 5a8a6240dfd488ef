"""A plain request is taken apart alike by the fast reader."""

from __future__ import annotations

from dataclasses import astuple

from drawn_requests import METHODS, URLS
from hypothesis import given

from auditctl.policy.fast_request import take_apart
from auditctl.policy.request import attributes


@given(METHODS, URLS)
def test_a_plain_request_is_taken_apart_alike(method: str, url: str) -> None:
    plain = take_apart(method, url)
    if plain is not None:
        assert plain == astuple(attributes(method, url, None))[1:]
