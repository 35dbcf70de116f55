from experiments.single_pictures.plan import Cell, Plan


def test_queries_are_the_same_number_of_every_class_and_at_least_ten():
    assert [Cell(way, 1, "dim").query for way in (2, 3, 10, 20)] == [5, 4, 1, 1]


def test_a_model_is_shown_the_other_kind_of_pictures():
    plan = Plan(tasks=9, shots=(1,))
    names = {
        datasource: [cell.name for cell in plan.cells("other", datasource, classes=5)]
        for datasource in ("omniglot", "miniimagenet", "images")
    }
    assert names == {
        "omniglot": ["5-way 1-shot, photographs"],
        "miniimagenet": ["5-way 1-shot, drawings"],
        "images": [],
    }


def test_cells_have_the_classes_that_there_are():
    plan = Plan(tasks=9, shots=(1,))
    ways = {
        part: [cell.way for cell in plan.cells(part, "images", classes=10)]
        for part in ("steps", "ways", "probabilities")
    }
    assert ways == {"steps": [5], "ways": [2, 5, 10], "probabilities": [2, 5]}
    assert plan.cells("steps", "images", classes=4) == []
