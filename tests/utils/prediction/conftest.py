import pytest
from plain_pictures import COLOURS, plain


@pytest.fixture
def support(tmp_path):
    for name, colour in COLOURS.items():
        for i in range(2):
            plain(tmp_path / "support" / name / f"{i}.png", colour)
    return tmp_path / "support"


@pytest.fixture
def query(tmp_path):
    for name, colour in COLOURS.items():
        plain(tmp_path / "query" / f"like-{name}.bmp", colour)
    return tmp_path / "query"
