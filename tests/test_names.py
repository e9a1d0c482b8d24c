import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import AdaprepError
from pipeline.names import check_component, printable, safe_component


@pytest.mark.parametrize("name", ["train", "v1.0", "0006R0", "größe", "a=1", "fold_3", "lr@0.1", "x" * 100])
def test_ordinary_names_are_taken_as_they_are(name):
    assert check_component("tag", name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "it is empty"),
        ("..", "it begins with '.'"),
        (".", "it begins with '.'"),
        ("../up", "it holds '/'"),
        ("a/b", "it holds '/'"),
        ("a\\b", r"it holds '\\\\'"),
        ("a:b", "it holds ':'"),
        ("a b", "it holds ' '"),
        ("a\0", "it holds"),
        ("-rf", "it begins with '-'"),
        ("a.", "it ends in a full stop"),
        ("con", "Windows reserves"),
        ("NUL.txt", "Windows reserves"),
        ("x" * 101, "longer than 100 bytes"),
        ("a\u202eb", "it holds"),
    ],
)
def test_names_that_are_no_single_component_are_refused(name, reason):
    with pytest.raises(AdaprepError, match=reason) as caught:
        check_component("tag", name)
    assert "the tag" in str(caught.value)
    assert "\0" not in str(caught.value)


@given(st.text())
def test_any_text_gives_a_component(text):
    name = safe_component(text)
    check_component("file", name)
    assert os.path.basename(name) == name


@given(st.text(), st.text())
def test_two_texts_give_two_components(one, other):
    assert (safe_component(one) == safe_component(other)) == (one == other)


def test_what_moves_a_cursor_is_shown_escaped():
    assert printable("e\x1b[2J\u202egnp\u2028\x85") == r"e\x1b[2J\u202egnp\u2028\x85"
    assert printable("Straße\n\tü") == "Straße\n\tü"
    assert printable(os.fsdecode(b"\xff.png")) == r"\udcff.png"
