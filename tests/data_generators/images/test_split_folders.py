import pytest

from data_generators import DataError
from data_generators.images.file_tree import FolderTree
from data_generators.images.folders import image_folders
from data_generators.images.split_folders import split_folders


def find(tmp_path, *folders):
    """The split folders of a tree with an image in each of these folders."""
    tree = FolderTree(tmp_path)
    tree.files = {f"{folder}/0.png": "" for folder in folders}
    return split_folders(tree, image_folders(tree))


@pytest.mark.parametrize("top", ["", "data/", "a/b/c/", "training_data/", "Train/test images/"])
@pytest.mark.parametrize(
    "named", ["train val test", "Train Val Test", "training valid testing", "TRAIN dev TEST",
              "meta_train meta_val meta_test", "meta-train meta-validation meta-test"]
)  # fmt: skip
def test_splits_are_what_a_person_means(tmp_path, top, named):
    train, val, test = named.split()
    found = find(tmp_path, *(f"{top}{s}/{c}" for s, c in [(train, "a"), (val, "b"), (test, "c/d")]))
    assert found.left_out == {}
    assert found.splits == {
        "train": {"a": [f"{top}{train}/a/0.png"]},
        "val": {"b": [f"{top}{val}/b/0.png"]},
        "test": {"c/d": [f"{top}{test}/c/d/0.png"]},
    }


@pytest.mark.parametrize(
    "folders",
    [
        ("cat", "dog"),
        ("bus", "car", "train"),  # a class called train
        ("train/cat", "train/dog"),  # all classes in a folder of this name
        ("Latin/a", "Greek/a"),
        ("test tube", "train station"),  # classes
        ("toys/train 1", "toys/train 2", "toys/test tube"),
        ("train station/a", "tower/b"),  # of two splits there is one alone
    ],
)
def test_folders_without_splits_say_none(tmp_path, folders):
    assert find(tmp_path, *folders) is None


@pytest.mark.parametrize(
    ("folders", "line"),
    [
        (("train/a", "val/b"), r"in train/ and val/, but none in a folder for test"),
        (("train/a", "valid/b"), r"in train/ and valid/, but none in a folder for test"),
        (("train/a", "holdout/b"), r"train/ \(beside holdout/\), but none .* for val and test"),
        (("train/a", "val/b", "test"), r"train/ and val/ \(beside test/\), but .* for test"),
        (("train/a", "Train/b", "val/c", "test/d"), r"(?i)train/ is a second train split"),
        (("train/a", "val/b", "valid/c", "test/d"), r"valid/ is a second val split"),
        (("test_data/train/a", "test_data/test/b"), r"in test_data/train/ and .* for val"),
        (("x/train/a", "x/val/b", "y/test/c"), r"x/train/, x/val/, y/test/ .* not lie side by"),
        (("cat/train", "cat/test", "dog/train"), r"cat/test/ and cat/train/ .* hold images"),
        (("train2017/a", "val2017/b", "test2017/c"), r"test2017/ and train2017/ may be meant as"),
        (("Trainings/a", "Vals/b", "Tests/c"), r"Tests/ and Trainings/ may be meant as splits"),
        (("trainA/a", "trainB/b", "testA/c"), r"testA/ and trainA/ may be meant as splits"),
        (("tr/a", "va/b", "te/c"), r"te/ and tr/ may be meant as splits"),
        (
            ("images_background/a", "images_evaluation/b"),
            r"_background/ and images_evaluation/ may",
        ),
        (("x/01_train/a", "x/02_val/b"), r"x/01_train/ and x/02_val/ may be meant as splits"),
        (("train", "test"), r"test/ and train/ .* hold images themselves"),
    ],
)
def test_splits_that_are_not_understood_are_named(tmp_path, folders, line):
    with pytest.raises(DataError, match=line):
        find(tmp_path, *folders)


def test_a_folder_of_all_splits_that_is_named_like_one_is_none(tmp_path):
    """Though there is another beside it."""
    folders = ("training_data/train/a", "training_data/val/b", "training_data/test/c", "docs")
    found = find(tmp_path, *folders)
    assert {split: list(classes) for split, classes in found.splits.items()} == {
        "train": ["a"],
        "val": ["b"],
        "test": ["c"],
    }
    assert list(found.left_out) == ["docs"]


def test_folders_beside_the_splits_are_left_out(tmp_path):
    found = find(tmp_path, "train/a", "val/b", "test/c", "more/d", "train")
    assert found.left_out == {
        "more/d": "1 images that are not in train/, val/, test/",
        "train": "1 images that are in no class folder",
    }
    assert [list(classes) for classes in found.splits.values()] == [["a"], ["b"], ["c"]]
