"""Names of a user's classes in a figure."""

from matplotlib.font_manager import FontProperties, findfont, get_font


def drawable(name: str, longest: int) -> str:
    r"""A name as Matplotlib's font can draw it: what the font lacks as \u.. , the end cut off.

    Args:
        name: of a class.
        longest: the number of letters that have room.
    """
    font = get_font(findfont(FontProperties()))
    letters = [
        letter
        if font.get_char_index(ord(letter))
        else letter.encode("ascii", "backslashreplace").decode()
        for letter in name
    ]
    text = "".join(letters)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
