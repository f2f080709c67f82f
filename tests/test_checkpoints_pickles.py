"""The interpreter gives what Python's unpickler gives, for everything a checkpoint is made of."""

import io
import pickle
import pickletools

import pytest
from checkpoint_files import as_tensor, dump, python2_pickle

from kerasfast.checkpoints import machine, pickles
from kerasfast.checkpoints.errors import Malformed
from kerasfast.checkpoints.inert import OPAQUE, make_storage
from kerasfast.checkpoints.stream import SHORT, Span, Stream


def interpret(data, **options):
    return pickles.unpickle(Stream(io.BytesIO(data), 0, len(data)), **options)


SHARED = [1, 2]
VALUES = {
    "numbers": [
        0,
        1,
        -1,
        255,
        256,
        65535,
        65536,
        2**31 - 1,
        -(2**31),
        2**62,
        -(2**63),
        2**100,
        0.5,
        -1e300,
        True,
        False,
    ],
    "texts": ["", "a", "name.weight", "zwölf \u20ac \U0001f600", "quote ' and \" and \\ and \n", "x" * SHORT],
    "nothing": None,
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((1,), [2])],
    "dict": {"a": 1, "b": {"c": [1, {"d": ()}]}},
    "long_list": list(range(3000)),
    "long_dict": {str(n): n for n in range(3000)},
    "shared": [SHARED, SHARED, {"x": SHARED}],
    "infinite": [float("inf"), float("-inf")],
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", VALUES)
def test_values(name, protocol):
    data = pickle.dumps(VALUES[name], protocol=protocol)
    assert interpret(data) == pickle.loads(data) == VALUES[name]


@pytest.mark.parametrize("protocol", range(3, 6))
def test_bytes(protocol):
    assert interpret(pickle.dumps([b"", b"\0\xff", b"x" * 300], protocol=protocol)) == [b"", b"\0\xff", b"x" * 300]


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_strings_of_python_2_are_latin_1(protocol):
    data = python2_pickle([b"abc", b"\xe9'\"\\\n", bytes(range(256))], protocol=protocol)
    assert interpret(data) == ["abc", "\xe9'\"\\\n", bytes(range(256)).decode("latin1")]


def test_identity_is_kept():
    found = interpret(pickle.dumps([SHARED, SHARED]))
    assert found[0] is found[1]


def test_a_list_that_holds_itself():
    loop = []
    loop.append(loop)
    found = interpret(pickle.dumps(loop))
    assert found[0] is found


def test_only_names_are_kept_as_keys():
    """Hashing what a file made up can be slow by design, and no weight has such a name."""
    assert interpret(pickle.dumps({"a": 1, 2: 3, (1, 2): 4, None: 5, b"b": 6})) == {"a": 1}


def test_sets_are_dropped():
    for protocol in range(6):
        found = interpret(pickle.dumps([{1, 2}, frozenset([3]), 4], protocol=protocol))
        assert found == [OPAQUE, OPAQUE, 4]


@pytest.mark.parametrize(("value", "form"), [("x" * 2000, "utf8"), (b"x" * 2000, "raw")])
def test_long_strings_stay_in_the_file(value, form):
    data = pickle.dumps([value, 1], protocol=4)
    (span, one) = interpret(data)
    assert span == Span(data.index(b"xxx"), 2000, form) and one == 1


def test_the_stream_stands_behind_the_pickle():
    data = pickle.dumps(1) + pickle.dumps("two")
    stream = Stream(io.BytesIO(data), 0, len(data))
    assert pickles.unpickle(stream) == 1
    assert pickles.unpickle(stream) == "two"
    with pytest.raises(Malformed, match="1 more bytes should follow where 0 are left"):
        pickles.unpickle(stream)


@pytest.mark.parametrize("name", VALUES)
def test_every_cut_is_noticed(name):
    data = pickle.dumps(VALUES[name])
    for length in range(0, len(data), max(1, len(data) // 50)):
        with pytest.raises(Malformed):
            interpret(data[:length])


def test_deep_tuples_are_harmless():
    """Neither hashing nor printing nor releasing them may recurse."""
    depth = machine.MAX_OPERATIONS - 10
    found = interpret(b"\x80\x02)" + b"\x85" * depth + b".")
    assert type(found) is tuple
    with pytest.raises(Malformed, match="no storage"):
        make_storage(found)
    assert interpret(b"}(" + b")" + b"\x85" * 1000 + b"K\x01u.") == {}


def test_every_opcode_is_decided():
    """All of pickle's operations are either carried out or refused by name."""
    known = {opcode.code.encode("latin1") for opcode in pickletools.opcodes}
    assert set(pickles._OPERATIONS) | set(pickles._REFUSED) | {b"."} == known
    assert not set(pickles._OPERATIONS) & set(pickles._REFUSED)


def test_numbers_of_operations_leave_room():
    """An R101 with the momentum of SGD, 1,274 entries and 720 buffers, takes an eighth of the limit."""
    entries = {f"model.backbone.layer3.{n}.conv2.bn.running_var": as_tensor(n, [1.0]) for n in range(2000)}
    data, _ = dump(entries)
    count = sum(1 for _ in pickletools.genops(data))
    assert count < machine.MAX_OPERATIONS / 4
