"""What happens to files: they are cut, and bytes of them are turned into others."""

from random import Random


def damaged(data: bytes, random: Random) -> bytes:
    """Return other bytes than `data`, which must not be empty, damaged in one to four places."""
    result = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 4])):
        random.choice([_cut, _turn_bit, _turn_byte, _turn_many, _blank, _repeat])(result, random)
    return bytes(result) if result != data else data[:-1]


def _cut(data: bytearray, random: Random) -> None:
    del data[_place(data, random) :]


def _turn_bit(data: bytearray, random: Random) -> None:
    if data:
        data[_place(data, random)] ^= 1 << random.randrange(8)


def _turn_byte(data: bytearray, random: Random) -> None:
    if data:
        data[_place(data, random)] = random.choice([0, 1, 127, 128, 255, random.randrange(256)])


def _turn_many(data: bytearray, random: Random) -> None:
    for _ in range(random.randrange(2, 20)):
        _turn_byte(data, random)


def _blank(data: bytearray, random: Random) -> None:
    start = _place(data, random)
    stop = min(len(data), start + random.randrange(1, 64))
    data[start:stop] = bytes(stop - start)


def _repeat(data: bytearray, random: Random) -> None:
    start = _place(data, random)
    data[start:start] = data[start : start + random.randrange(1, 64)]


def _place(data: bytearray, random: Random) -> int:
    """A place anywhere, in the first bytes or in the last ones: headers and ends are short."""
    if not data:
        return 0
    near = min(len(data), 64)
    return random.choice(
        [
            random.randrange(len(data)),
            random.randrange(near),
            len(data) - 1 - random.randrange(near),
        ]
    )
