import pytest

from data_generators import DataError
from experiments.other_data import other_source
from experiments.photographs.plan import EXPERIMENTS


def test_pictures_of_another_kind_are_named_by_their_flag(tmp_path):
    missing = f"{tmp_path}/missing"
    with pytest.raises(DataError, match=rf"^--other_path={missing} does not exist"):
        other_source(EXPERIMENTS["maml-1shot"].config, missing, str(tmp_path))
