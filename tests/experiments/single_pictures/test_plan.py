from experiments.single_pictures.plan import Cell, Plan


def test_queries_are_the_same_number_of_every_class_and_at_least_ten():
    assert [Cell(way, 1, "dim").query for way in (2, 3, 10, 20)] == [5, 4, 1, 1]


def test_a_model_is_shown_the_other_kind_of_pictures():
    names = {
        datasource: [cell.name for cell in Plan(tasks=9, shots=(1,)).cells("other", datasource)]
        for datasource in ("omniglot", "miniimagenet", "images")
    }
    assert names == {
        "omniglot": ["5-way 1-shot, photographs"],
        "miniimagenet": ["5-way 1-shot, drawings"],
        "images": [],
    }
