import unicodedata

import pytest

from data_generators import DataError
from data_generators.images.file_tree import FolderTree
from data_generators.images.folders import alike, check_disjoint, is_image


@pytest.mark.parametrize(
    "name", ["a.JPG", "a.jpeg", "a.png", "b/a.tif", "a.webp", "a.bmp", "a.mpo"]
)
def test_images_by_their_names(name):
    assert is_image(name)


# A program draws EPS, no decoder; Pillow writes PDF, but does not read it.
@pytest.mark.parametrize("name", ["a.txt", "a", "png", "a.heic", "a.eps", "a.pdf", "a.h5", "a.mpg"])
def test_no_images_by_their_names(name):
    assert not is_image(name)


@pytest.mark.parametrize("other", ["cat ", " cat", "c\u0061t\u00a0"])
def test_names_that_differ_in_blanks_are_refused(tmp_path, other):
    with pytest.raises(DataError, match="differ in blanks"):
        check_disjoint(FolderTree(tmp_path), {"all": {"cat": [], other: []}})


def test_names_in_two_forms_of_unicode_are_refused(tmp_path):
    forms = [unicodedata.normalize(form, "éléphant") for form in ("NFC", "NFD")]
    with pytest.raises(DataError, match="the form of a letter"):
        check_disjoint(FolderTree(tmp_path), {"train": {forms[0]: []}, "test": {forms[1]: []}})


@pytest.mark.parametrize("mark", ["\u200b", "\u200f", "\u2060", "\ufeff"])
def test_names_that_differ_in_what_nobody_sees_are_refused(tmp_path, mark):
    with pytest.raises(DataError, match="in marks that nobody sees") as caught:
        check_disjoint(FolderTree(tmp_path), {"train": {"cat": [], f"cat{mark}": []}})
    assert ascii(mark).strip("'") in str(caught.value)


def test_a_class_in_two_splits_is_refused(tmp_path):
    with pytest.raises(DataError, match="class cat is both in train and in test"):
        check_disjoint(FolderTree(tmp_path), {"train": {"cat": []}, "test": {"cat": []}})


@pytest.mark.parametrize(
    ("labels", "pairs"),
    [
        (["cat", "dog"], None),
        (["a/cat", "b/cat"], "a/cat and b/cat"),
        (["Cat", "cat"], "Cat and cat"),
        (["cat", "cat/more", "cat/more/yet"],
         "cat and cat/more, cat/more and cat/more/yet, cat and cat/more/yet"),
        ([f"{i}/x" for i in range(9)],
         "0/x and 1/x, 0/x and 2/x, 0/x and 3/x, 0/x and 4/x, 0/x and 5/x and 3 more"),
    ],
)  # fmt: skip
def test_folders_that_may_be_one_class_are_named(labels, pairs):
    assert alike(labels) == pairs
