"""The reading of answers, fed with every cut and every kind of noise."""

from __future__ import annotations

import itertools
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.client.http.connection import Connection
from dbrun.client.http.framing import BadAnswer, TooLarge

HEAD = b"HTTP/1.1 200 OK\r\nX-A: 1\r\n"
WHOLE = [
    (HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\n\r\n", b"\r\n"),
    (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;x=y\r\nh\r\n4\r\nello\r\n0\r\nT: 1\r\n\r\n",
        b"hello",
    ),
    (HEAD + b"\r\nhello", b"hello"),
]


def exchange(pieces: list[bytes]) -> tuple[int, dict[str, str], bytes]:
    """What a connection makes of *pieces*, each of which arrives by itself: the next one when
    the connection waits for it. After the last the server hangs up."""
    near, far = socket.socketpair()
    connection = Connection(near, time.monotonic)
    coming = iter([piece for piece in pieces if piece])
    try:
        coroutine = connection.exchange(b"x", time.monotonic() + 60)
        coroutine.send(None)
        while True:
            piece = next(coming, None)
            far.sendall(piece) if piece else far.shutdown(socket.SHUT_WR)
            coroutine.send(True)
    except StopIteration as end:
        return end.value
    finally:
        connection.close()
        far.close()


@given(st.sampled_from(WHOLE), st.lists(st.integers(1, 120), max_size=6))
def test_where_the_bytes_are_cut_makes_no_difference(whole, cuts):
    data, body = whole
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    status, headers, got = exchange(pieces)
    assert (status, headers["x-a"], got) == (200, "1", body)


@pytest.mark.parametrize("whole", WHOLE[:3])
def test_every_byte_counts(whole):
    data, _ = whole
    for length in range(len(data)):
        with pytest.raises(BadAnswer):
            exchange([data[:length]])


NOISE = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\n",
                b"HTTP/1.0 404\r\n",
                b"Content-Length: 3\r\n",
                b"Content-Length: ",
                b"Transfer-Encoding: chunked\r\n",
                b"\r\n",
                b"\n",
                b"3\r\nabc\r\n",
                b"0\r\n\r\n",
                b"ffffffff\r\n",
                b":",
                b" folded\r\n",
            ]
        ),
    ),
    max_size=12,
)


@given(NOISE)
def test_noise_is_an_answer_or_a_known_error(pieces):
    try:
        status, headers, body = exchange(pieces)
    except (OSError, BadAnswer, TooLarge):
        return
    assert 200 <= status <= 999
    assert all(name == name.lower() and "\n" not in value for name, value in headers.items())
    assert isinstance(body, bytes)
