"""What is left out is named and counted; of very many of a kind, the first are named."""

from data_generators.images.left_out import NAMED, LeftOut


def test_all_are_counted_and_no_more_named_than_anybody_reads(caplog):
    left_out = LeftOut()
    left_out.add_all("path", {f"{number:03}": "gone" for number in range(NAMED + 50)})
    left_out.add("image", "a\nb")
    left_out.say_total()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "left out: path 000: gone"
    assert lines[NAMED] == "left out: more of kind path, which are only counted"
    assert lines[NAMED + 1 :] == [
        "left out: a\\nb",
        f"left out in all: path: {NAMED + 50}, image: 1",
    ]
