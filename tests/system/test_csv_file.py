import numpy as np
import pytest

from system.csv_file import read_columns, read_table
from system.errors import FileError

TEXT = b"epoch,loss\r\n0,1.5\r\n1,-2e-05\r\n2,nan\r\n"


def test_columns_are_numbers_and_what_keras_leaves_out_is_none(tmp_path):
    (tmp_path / "log.csv").write_bytes(b"epoch,loss,val_loss\r\n0,1.5,NA\r\n1,2e3,0.5\r\n")
    loss, epoch = read_columns(tmp_path / "log.csv", ("loss", "epoch"))
    assert (loss, epoch) == ([1.5, 2000], [0, 1])
    (found,) = read_columns(tmp_path / "log.csv", ("val_loss",))
    assert np.isnan(found[0])
    assert found[1] == 0.5
    with pytest.raises(FileError, match=r"log\.csv is damaged: it has no column pre_loss"):
        read_columns(tmp_path / "log.csv", ("pre_loss",))


def test_a_table_is_its_header_and_rows(tmp_path):
    (tmp_path / "log.csv").write_bytes(TEXT)
    table = read_table(tmp_path / "log.csv")
    assert table.header == ["epoch", "loss"]
    assert table.rows == [["0", "1.5"], ["1", "-2e-05"], ["2", "nan"]]


@pytest.mark.parametrize("cut", [1, 3, 6, 7])
def test_a_half_line_at_the_end_is_left_out(tmp_path, cut):
    (tmp_path / "log.csv").write_bytes(TEXT[:-cut])
    assert read_table(tmp_path / "log.csv").rows == [["0", "1.5"], ["1", "-2e-05"]]


@pytest.mark.parametrize("text", [b"", b"epoch,lo"])
def test_a_file_without_a_whole_line_is_empty(tmp_path, text):
    (tmp_path / "log.csv").write_bytes(text)
    assert read_table(tmp_path / "log.csv") == ([], [])


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (TEXT.replace(b"1.5", b"many"), "line 2 is not a row of 2 numbers"),
        (TEXT.replace(b"1.5", b"1_5"), "line 2"),
        (TEXT.replace(b"1.5", b""), "line 2"),
        (TEXT.replace(b"1,-", b"1-"), "line 3"),
        (TEXT.replace(b"0,1.5\r", b"\0" * 6), "line 2"),
        (TEXT.replace(b"1.5", b'"' + b"1" * 200_000), "line 2"),
        (TEXT.replace(b"nan", b"\xff\xfe"), "is not UTF-8"),
        (TEXT.replace(b"\r\n1,", b"\r\n\r\n1,"), "line 3"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, damaged, said):
    (tmp_path / "log.csv").write_bytes(damaged)
    with pytest.raises(FileError, match=r"log\.csv is damaged") as caught:
        read_table(tmp_path / "log.csv")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200 + len(str(tmp_path))
