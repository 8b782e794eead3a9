import codecs
import os

import pytest

from cuelight.data.base.text_lines import read_lines
from cuelight.errors import DataError


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_a_byte_order_mark_is_no_text(mark, tmp_path) -> None:
    (tmp_path / "names.txt").write_bytes(mark + "Hintergrund\r\n\n  Käfer \n".encode())
    assert read_lines(tmp_path / "names.txt") == ["Hintergrund", "Käfer"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_named(encoding, tmp_path) -> None:
    (tmp_path / "names.txt").write_bytes("Käfer".encode(encoding))
    with pytest.raises(DataError, match=r"names\.txt: this file is not UTF-8 .* Save it as UTF-8"):
        read_lines(tmp_path / "names.txt")


def test_a_folder_is_no_text_file(tmp_path) -> None:
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_lines(tmp_path)


def test_a_pipe_is_refused(tmp_path) -> None:
    os.mkfifo(tmp_path / "names.txt")
    with pytest.raises(DataError, match=r"names\.txt: cannot be read: it is a pipe or a device"):
        read_lines(tmp_path / "names.txt")
