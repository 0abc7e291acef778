"""Text that others wrote: written out for a terminal, refused in names and options."""

import pytest

from aenet_gpr_cli.text import encodable, refuse_bad_name, refuse_unseen, visible


def test_control_characters_are_written_out():
    assert visible("a\x1b[2Jb\nc\u202e\udcff é Å") == r"a\x1b[2Jb\nc\u202e\udcff é Å"
    assert visible("a\nb\x07", keep="\n") == "a\nb\\x07"


def test_names_of_other_bytes_become_text_that_every_file_can_hold():
    assert encodable("é a\nb") == "é a\nb"
    assert encodable("no\udcff\udcfet.xsf") == r"no\xff\xfet.xsf"
    assert encodable("lone \ud800") == r"lone \ud800"


@pytest.mark.parametrize("name", ["gpr_0.021", "a b", "[10, 10]", "it's", "$x", "größer"])
def test_names_of_files_are_taken(name):
    assert refuse_bad_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".x", "-x", "a/b", "/../../../evil", "a\\b", "a\nb", "a\0", "x" * 101]
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="expected a name that can be part of a file name"):
        refuse_bad_name(name)


@pytest.mark.parametrize("value", ["a\ntouch X", "a\r", "a\0b", "a\u2028b"])
def test_control_characters_in_an_option_are_refused_by_key(value):
    with pytest.raises(ValueError, match=r"^partition: expected text without line breaks"):
        refuse_unseen(value, "partition")
