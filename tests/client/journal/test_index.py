"""The index against a plain dict, with keys that collide as much as a test wants."""

import random

from hypothesis import given
from hypothesis import strategies as st

from dbrun.client.journal.index import Index

# Pretend keys: a prefix out of few, and a rest that the index never sees.
keys = st.tuples(st.sampled_from([0, 1, 2, 1 << 63, 2**64 - 1, 1024, 2048]), st.binary(max_size=1))


class Files:
    """Where pretend lines lie; tells which key a spot is of."""

    def __init__(self):
        self.index = Index()
        self.lines = {}

    def add(self, key, generation=1, file=0, size=100):
        offset = len(self.lines) * 100
        self.lines[file, offset] = key
        self.index.add(file, [(offset, size, key[0], key[1], generation)], self._gives_way)
        return offset

    def find(self, key):
        for spot in self.index.find(key[0]):
            if self.lines[spot.file, spot.offset] == key:
                return spot
        return None

    def in_order(self):
        spots = self.index.in_order(lambda spot: self.lines[spot.file, spot.offset])
        return [self.lines[spot.file, spot.offset] for spot in spots]

    def _gives_way(self, old, rest, generation, file):
        if self.lines[old.file, old.offset] != (old.prefix, rest):
            return None
        return generation >= old.generation


@given(st.lists(st.tuples(keys, st.integers(1, 3), st.integers(0, 5), st.booleans())))
def test_it_holds_the_newest_line_of_each_key(steps):
    files, model = Files(), {}
    for key, generation, file, dropping in steps:
        if dropping and (spot := files.find(key)):
            assert files.index.drop(spot)
            assert not files.index.drop(spot)
            del model[key]
            continue
        offset = files.add(key, generation, file)
        if key not in model or generation >= model[key][2]:
            model[key] = (file, offset, generation)
    for key in {step[0] for step in steps}:
        spot = files.find(key)
        assert (spot and (spot.file, spot.offset, spot.generation)) == model.get(key)
    assert len(files.index) == len(model)
    assert files.in_order() == sorted(model)


def test_places_and_sizes_have_room():
    files = Files()
    index, places = files.index, [(0, 0, 1), (2**20 - 1, 2**44 - 1, 2**32 - 1), (5, 7, 9)]
    for number, (file, offset, size) in enumerate(places):
        index.add(file, [(offset, size, number, b"", 2**32 - 1)], files._gives_way)
        spot = index.find(number)[0]
        assert spot[2:] == (file, offset, size, 2**32 - 1)
    assert index.newest == 2**32 - 1


def test_a_line_that_moved_is_found_at_its_new_place():
    files = Files()
    files.add((7, b""), generation=4)
    spot = files.index.find(7)[0]
    files.index.move(spot, 3, 1234, 99)
    assert files.index.find(7)[0][2:] == (3, 1234, 99, 4)


def test_an_entry_that_changed_meanwhile_is_neither_moved_nor_dropped():
    files = Files()
    files.add((7, b""))
    before = files.index.find(7)[0]
    files.add((7, b""))
    now = files.index.find(7)[0]
    assert now != before
    files.index.move(before, 3, 1234, 99)
    assert not files.index.drop(before)
    assert files.index.find(7) == [now]


def test_a_hundred_thousand_keys_take_some_thirty_bytes_each():
    count, index = 100_000, Index()
    prefixes = random.Random(1)
    lines = ((number, 1, prefixes.getrandbits(64), b"", 1) for number in range(count))
    index.add(0, lines, None)
    assert len(index) == count
    assert index.nbytes <= 36 * count + 8192
    order = [spot.prefix for spot in index.in_order(lambda spot: b"")]
    assert order == sorted(order)
    assert len(order) == count
    again = random.Random(1)
    for number in range(1000):
        assert [spot.offset for spot in index.find(again.getrandbits(64))] == [number]
