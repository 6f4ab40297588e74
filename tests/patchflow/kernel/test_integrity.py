"""The canonical form is RFC 8785's, whichever encoder writes it."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from patchflow.kernel.integrity import canonical, digest, digest_as_read, plain

TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.text(st.characters(max_codepoint=127), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(VALUES)
def test_both_encoders_write_the_same_bytes(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(plain(value))


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_what_was_read_has_the_digest_that_was_signed(value: object) -> None:
    stored = json.loads(canonical(value))
    assert digest_as_read(stored) == digest(value)


def test_a_float_put_into_a_stored_document_shows() -> None:
    signed = {"hosts": [{"host": 1}]}
    assert digest_as_read({"hosts": [{"host": 1.5}]}) != digest(signed)
    assert digest_as_read({"hosts": [{"host": 1.0}]}) != digest(signed)
    with pytest.raises(TypeError, match="no floats"):  # the library would write 1.0 as 1
        digest_as_read({"hosts": [{"host": 1.0}], "plan": "\U0001f600"})


def test_every_ascii_character_is_written_as_the_standard_says() -> None:
    text = "".join(map(chr, range(128)))
    assert canonical({text: text, "\x7f": "/"}) == rfc8785.dumps({text: text, "\x7f": "/"})
