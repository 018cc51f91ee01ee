"""Damage to files: what disks, networks and strangers do to bytes."""

import random


def mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    """Return content with one to four changes, of every kind that a file was seen to have."""
    data = bytearray(content)
    for _ in range(rng.randrange(1, 5)):
        if not data:
            break
        at, length = rng.randrange(len(data)), rng.choice([1, 1, 2, 4, 8, 64, 512])
        kind = rng.randrange(9)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            data[at:at] = rng.randbytes(length)
        elif kind == 5:
            data[at : at + length] = bytes(min(length, len(data) - at))
        elif kind == 6:
            data[at : at + length] = b"\xff" * min(length, len(data) - at)
        elif kind == 7:  # a block elsewhere
            other = rng.randrange(len(data))
            block = bytes(data[other : other + length])
            data[at : at + len(block)] = block
        else:  # digits, as sizes and shapes have them
            places = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
            if places:
                data[rng.choice(places)] = 48 + rng.randrange(10)
    return bytes(data)
