"""Slots of ranks on hosts, numbered by hand."""

from headrace.distributed.slot import Slot, assign_slots


def test_local_and_cross_ranks_are_counted_by_host() -> None:
    slots = assign_slots(["a", "b", "a", "c", "a", "b"], address="10.0.0.1", port=7)
    assert [(s.rank, s.size, s.host) for s in slots] == [
        (0, 6, "a"), (1, 6, "b"), (2, 6, "a"), (3, 6, "c"), (4, 6, "a"), (5, 6, "b"),
    ]  # fmt: skip
    assert [(s.local_rank, s.local_size) for s in slots] == [
        (0, 3), (0, 2), (1, 3), (0, 1), (2, 3), (1, 2),
    ]  # fmt: skip
    # first ranks of a, b and c; second ones of a and b; the third one of a
    assert [(s.cross_rank, s.cross_size) for s in slots] == [
        (0, 3), (1, 3), (0, 2), (2, 3), (0, 1), (1, 2),
    ]  # fmt: skip


def test_cross_ranks_skip_hosts_that_have_fewer_ranks() -> None:
    """The second rank of c is cross rank 1 of 2: b, which is before c, has no second rank."""
    slots = assign_slots(["a", "b", "c", "a", "c"], address="x", port=1)
    assert (slots[4].local_rank, slots[4].cross_rank, slots[4].cross_size) == (1, 1, 2)


def test_every_slot_has_its_own_copy_of_the_facts() -> None:
    facts = {"attempt": "x"}
    first, second = assign_slots(["a", "a"], generation=3, address="x", port=1, facts=facts)
    first.facts["attempt"] = "y"
    assert second.facts == facts == {"attempt": "x"}
    assert (first.generation, second.generation) == (3, 3)
    assert assign_slots(["a"], address="x", port=1)[0].facts == {}


def test_no_hosts_have_no_slots() -> None:
    assert assign_slots([], address="x", port=1) == []


def test_horovod_reads_a_slot_from_the_environment() -> None:
    slot = assign_slots(["a", "b", "a"], address="10.0.0.1", port=7)[2]
    assert slot.to_environment() == {
        "HOROVOD_HOSTNAME": "a",
        "HOROVOD_RANK": "2",
        "HOROVOD_SIZE": "3",
        "HOROVOD_LOCAL_RANK": "1",
        "HOROVOD_LOCAL_SIZE": "2",
        "HOROVOD_CROSS_RANK": "0",
        "HOROVOD_CROSS_SIZE": "1",
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": "10.0.0.1",
        "HOROVOD_GLOO_RENDEZVOUS_PORT": "7",
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
    }


def test_a_slot_survives_json() -> None:
    (slot,) = assign_slots(["a"], generation=2, address="x", port=1, facts={"n": [1, "é"]})
    assert Slot(**slot.to_json()) == slot
