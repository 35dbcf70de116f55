import pytest
from absl import flags

from experiments import paper
from experiments.paper import paper_figure
from utils.command.flags import config_from_flags, define, parse


def config(command=""):
    flag_values = define(flags.FlagValues())
    parse(["main.py", *command.split()], flag_values)
    return config_from_flags(flag_values)


@pytest.mark.parametrize(
    ("command", "shot", "figure"),
    [
        ("--use_T --use_M", 5, "0.76 ± 0.09"),
        ("--use_T --use_M", 20, "0.33 ± 0.04"),
        ("--use_T", 10, "0.56 ± 0.06"),
        ("", 10, "0.71 ± 0.07"),
        ("--meta_sgd", 5, "0.88 ± 0.14"),
        ("--update_lr=10", 10, "171.92 ± 25.04"),
        ("--use_T --use_M --update_lr=0.0001", 10, "0.72 ± 0.07"),
        ("--update_lr=10", 5, None),
        ("--update_lr=0.02", 10, None),
        ("", 7, None),
        ("--update_batch_size=5", 5, None),
        ("--use_M", 10, None),
        ("--use_T --use_M --noshare_M", 10, None),
        ("--stop_grad", 10, None),
        ("--baseline=oracle", 10, None),
        ("--datasource=polynomial", 10, None),
        ("--datasource=omniglot --use_T --use_M", 1, "99.5 ± 0.3"),
        ("--datasource=omniglot --num_classes=20 --use_T --use_M", 1, "96.21 ± 0.35"),
        ("--datasource=omniglot --num_classes=20", 1, "95.8 ± 0.3"),
        ("--datasource=omniglot --meta_sgd", 1, "99.53 ± 0.26"),
        ("--datasource=omniglot --use_T", 1, None),
        ("--datasource=omniglot", 5, None),
        ("--datasource=omniglot --num_classes=10", 1, None),
        ("--datasource=omniglot --update_batch_size=5", 5, None),
        ("--datasource=miniimagenet --use_T", 1, "50.82 ± 0.69"),
        ("--datasource=miniimagenet --use_T --use_M", 1, "51.69 ± 0.70"),
        ("--datasource=miniimagenet --use_T --use_M --update_batch_size=5", 5, "64.08 ± 0.35"),
        ("--datasource=miniimagenet --use_T --update_batch_size=5", 5, None),
        ("--datasource=miniimagenet --num_classes=20", 1, None),
    ],
)
def test_paper_figure_is_of_the_same_experiment(command, shot, figure):
    assert paper_figure(config(command), shot) == figure


def test_tables_1_and_2_agree_where_they_overlap():
    for method in ("MAML", "MT-net"):
        assert paper.TABLE_1[method, 10] == paper.TABLE_2[method, 0.01]
