import numpy as np
import pytest

from utils.reports.summary import summarize
from utils.reports.tables import Column, format_table


@pytest.fixture
def losses():
    return np.random.default_rng(0).gamma(2.0, size=(600, 11)).astype(np.float32)


def test_table_is_aligned_and_marks_the_trained_step():
    five = summarize(np.array([[3.0, 1.0], [5.0, 1.0]]))
    ten = summarize(np.array([[30.0, 0.5], [30.0, 0.5]]))
    table = format_table([Column("5-shot", five), Column("10-shot", ten, paper="0.49 ± 0.05")], 1)
    assert table == (
        "| inner steps |         5-shot |        10-shot |\n"
        "| ----------- | -------------: | -------------: |\n"
        "| 0           | 4.000 ± 12.706 | 30.000 ± 0.000 |\n"
        "| 1 *         |  1.000 ± 0.000 |  0.500 ± 0.000 |\n"
        "| paper *     |                |    0.49 ± 0.05 |\n"
        "\n"
        "mean ± 95 % interval over 2 tasks; * the number of inner steps of training"
    )


def test_table_shows_accuracy_in_percent_and_no_empty_paper_row():
    summary = summarize(np.array([[0.2], [0.4], [0.6]]))
    table = format_table([Column("accuracy, %", summary, percent=True)], 0)
    assert "| 0 *         | 40.00 ± 49.68 |" in table
    assert "paper" not in table


def test_table_says_how_many_tasks_diverged_and_stays_narrow():
    values = np.array([[1e30, np.nan], [1e30, 1.0]])
    table = format_table([Column("loss", summarize(values))], 0)
    assert " 1e+30 ± 0.000 |" in table
    assert " nan (1 diverged) |" in table


def test_table_of_one_task_claims_no_interval():
    table = format_table([Column("accuracy, %", summarize(np.array([[0.8]])), percent=True)], 0)
    assert "| 0 *         | 80.00 ± n/a |" in table
    assert "interval over 1 task;" in table
