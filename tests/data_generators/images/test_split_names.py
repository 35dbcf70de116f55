import pytest

from data_generators.images.split_names import split_named


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Train TRAIN training meta_train meta-train MetaTraining train_set"),
        ("val", "val valid validation Val VALID dev meta_val meta-validation val_images"),
        ("test", "test Test TEST testing meta_test meta.test MetaTest test-split testset"),
        (None, "trains cat value validate tests contest train1 trainval metal meta set 训练"),
    ],
)
def test_names_that_people_give(split, names):
    assert {name: split_named(name) for name in names.split()} == dict.fromkeys(
        names.split(), split
    )


def test_blanks_separate_words():
    assert split_named("Training Set") == "train"
