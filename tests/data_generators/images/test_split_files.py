"""CSV files of splits: what they may look like, and the line of what is wrong."""

import pytest

from data_generators import DataError
from data_generators.images.file_tree import FolderTree
from data_generators.images.split_files import find_split_files, read_split_files

GOOD = {
    "train": "filename,label\na0.jpg,a\na1.jpg,a\nb0.jpg,b\n",
    "val": "filename,label\nc0.jpg,c\n",
    "test": "filename,label\nd0.jpg,d\n",
}
IMAGES = [f"images/{c}{i}.jpg" for c in "abcd" for i in range(3)]


def read(tmp_path, texts=None, images=IMAGES):
    tree = FolderTree(tmp_path)
    for split, text in {**GOOD, **(texts or {})}.items():
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / f"{split}.csv").write_bytes(data)
        tree._paths[f"{split}.csv"] = tmp_path / f"{split}.csv"
        tree.files[f"{split}.csv"] = ""
    tree.files |= dict.fromkeys(images, "")
    return read_split_files(tree, find_split_files(tree))


def test_images_are_listed_by_split_and_class(tmp_path):
    found = read(tmp_path)
    assert found.rows_left_out == {}
    assert found.splits == {
        "train": {"a": ["images/a0.jpg", "images/a1.jpg"], "b": ["images/b0.jpg"]},
        "val": {"c": ["images/c0.jpg"]},
        "test": {"d": ["images/d0.jpg"]},
    }


@pytest.mark.parametrize(
    "text",
    [
        "filename,label\r\nc0.jpg,c\r\n",
        "\ufefffilename,label\nc0.jpg,c",
        " Filename , LABEL \nc0.jpg,c\n",
        "label,extra,filename\nc,1,c0.jpg\n",
        "filename,label\n\nc0.jpg,c\n\n",
        "filename,label\n c0.jpg ,c \n",
        'filename,label\n"c0.jpg","c"\n',
        "filename,label\nimages/c0.jpg,c\n",
        "filename,label\n./c0.jpg,c\n",
    ],
)
def test_ways_to_write_the_same(tmp_path, text):
    assert read(tmp_path, {"val": text}) == read(tmp_path)


def test_images_that_no_file_lists_are_left_out(tmp_path):
    images = [*IMAGES[:9], "images/d0.jpg", "more/x.jpg", "more/y.txt"]
    assert read(tmp_path, images=images).images_left_out == dict.fromkeys(
        ["images/a2.jpg", "images/b1.jpg", "images/b2.jpg", "images/c1.jpg", "images/c2.jpg",
         "more/x.jpg"],
        "no split file lists it",
    )  # fmt: skip


def test_images_may_lie_in_class_folders(tmp_path):
    images = [f"images/{c}/{c}{i}.jpg" for c in "abcd" for i in range(3)]
    assert read(tmp_path, images=images).splits["train"] == {
        "a": ["images/a/a0.jpg", "images/a/a1.jpg"],
        "b": ["images/b/b0.jpg"],
    }


@pytest.mark.parametrize(("listed", "there"), [("é", "e\u0301"), ("e\u0301", "é")])
def test_names_in_another_form_of_unicode_are_found(tmp_path, listed, there):
    images = [*IMAGES, f"images/{there}.jpg"]
    found = read(tmp_path, {"val": f"filename,label\n{listed}.jpg,c\n"}, images)
    assert found.splits["val"] == {"c": [f"images/{there}.jpg"]}


def test_labels_that_differ_in_blanks_are_one_class(tmp_path):
    text = "filename,label\na0.jpg,a\na1.jpg,a \na2.jpg, a\n"
    assert list(read(tmp_path, {"train": text}).splits["train"]) == ["a"]


def test_a_row_that_stands_twice_is_left_out(tmp_path):
    text = "filename,label\na0.jpg,a\na1.jpg,a\na0.jpg,a\n./a1.jpg,a \n"
    found = read(tmp_path, {"train": text})
    assert found.splits["train"] == {"a": ["images/a0.jpg", "images/a1.jpg"]}
    assert found.rows_left_out == {
        "train.csv, line 4": "train.csv, line 2 lists images/a0.jpg, too",
        "train.csv, line 5": "train.csv, line 3 lists images/a1.jpg, too",
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", r"val.csv is not a CSV .* filename,label: its first line has 'nothing'"),
        ("a,b\n1,2\n", r"val.csv is not a CSV .* its first line has 'a,b'"),
        ("filename;label\nc0.jpg;c\n", r"its first line has 'filename;label'"),
        ("filename,label,label\n", r"its first line has 'filename,label,label'"),
        ("filename,label\n", r"val.csv lists no images"),
        ("filename,label\nc0.jpg,c\nc1.jpg\n", r"val.csv, line 3: it has 1 of 2 columns: 'c1.jpg'"),
        ("filename,label\nc0.jpg,c,d\n", r"val.csv, line 2: it has 3 of 2 columns"),
        ("filename,label\nc0.jpg, \n", r"val.csv, line 2: the label is empty"),
        ("filename,label\n,c\n", r"val.csv, line 2: the filename is empty"),
        ('filename,label\n"c0.jpg,c\nc1.jpg,c\n', r"val.csv, line 3: unexpected end of data"),
        (b"filename,label\nc0.jpg,c\nc1.jpg,\xff\n", r"val.csv, line 3: it is not text in UTF-8"),
        ("filename,label\nc0.jpg,c\nc9.jpg,c\n",
         r"images/c9.jpg is missing, which val.csv, line 3 lists"),
        ("filename,label\nc0.jpg,c\nc0.jpg,x\n",
         r"c0.jpg has the label 'c' in val.csv, line 2 and 'x' in val.csv, line 3"),
        ("filename,label\na0.jpg,c\n",
         r"a0.jpg has the label 'a' in train.csv, line 2 and 'c' in val.csv, line 2"),
        (f"filename,label\n{'c' * 200_000},c\n", r"val.csv, line 2: field larger than"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, line):
    with pytest.raises(DataError, match=line) as error:
        read(tmp_path, {"val": text})
    assert str(error.value).isprintable()


def test_two_files_for_one_split_are_refused(tmp_path):
    (tmp_path / "val.csv").touch()
    (tmp_path / "Valid.CSV").touch()
    with pytest.raises(
        DataError, match=r"Valid.CSV and val.csv are both named after the val split"
    ):
        find_split_files(FolderTree(tmp_path))
