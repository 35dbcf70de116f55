"""Class folders of plain pictures, which a model tells apart by their colours."""

from PIL import Image

from data_generators import ImageInput

INPUT = ImageInput(16, grey=False, ink_is_one=False)
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def plain(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 18), colour).save(path)
