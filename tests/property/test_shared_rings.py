"""Processes on one ring: nothing lost, nothing torn, order kept, drops counted, and nobody waits for the dead."""

import pytest
import ring_process as post
from hypothesis import given, settings
from hypothesis import strategies as st

from wetloop.engine.arena import Arena, segments, sweep
from wetloop.engine.engine import RingReader
from wetloop.kernels.rings import DROPPED, RECORDER, SESSION, STIMULATOR, load_head, store_tail, wait_for

A_MINUTE_NS = 60_000_000_000


@pytest.fixture
def folder():
    with post.own_folder() as path:
        yield path


@pytest.fixture(scope="module")
def parties():
    """Return a producer, two readers and an observer, reused by all examples."""
    with post.Party() as a, post.Party() as b, post.Party() as c, post.Party() as d:
        yield a, b, c, d


TRAFFIC = st.fixed_dictionaries(
    {
        "capacity": st.integers(1, 40),
        "batches": st.lists(st.integers(1, 200), min_size=1, max_size=6),
        "patient": st.booleans(),
        "bite": st.integers(0, 9),
        "turns": st.sampled_from([0, 100, 2000]),
        "room": st.integers(1, 50),
    }
)


def deliver(parties, traffic):
    """Return what was sent and refused, what two readers got, and what the observer saw and lost."""
    producer, fast, slow, observer = parties
    with post.own_folder() as folder, post.new_post("post", folder, traffic["capacity"], SESSION, RECORDER):
        here = ("post", str(folder))
        fast.tell("read", *here, SESSION, 0, 0)
        slow.tell("read", *here, RECORDER, traffic["bite"], traffic["turns"])
        observer.tell("watch", *here, traffic["room"])
        producer.tell("produce", *here, traffic["batches"], traffic["patient"])
        return [party.answer() for party in parties]


@settings(max_examples=40, deadline=None)
@given(traffic=TRAFFIC)
def test_every_reader_gets_all_that_was_committed_in_order(parties, traffic):
    (sent, dropped), fast, slow, (seen, lost) = deliver(parties, traffic)
    n = sum(traffic["batches"])
    assert fast == slow == sent
    assert sent == list(range(n)) if traffic["patient"] else len(sent) + dropped == n
    assert all(sent[position] == serial for position, serial in seen)
    assert len(seen) + lost == len(sent)


@pytest.mark.parametrize("capacity", [2, 3, 64])
def test_an_observer_that_is_lapped_sees_no_torn_record(folder, parties, capacity):
    producer, _, _, observer = parties
    n = 200_000
    with post.new_post("post", folder, capacity):
        observer.tell("watch", "post", str(folder), 64)
        producer.tell("produce", "post", str(folder), [n], False)
        sent, dropped = producer.answer()
        seen, lost = observer.answer()
    assert dropped == 0, "an observer holds nobody up"
    assert sent == list(range(n))
    assert all(position == serial for position, serial in seen)
    assert len(seen) + lost == n


def test_a_reader_that_stops_reading_costs_records_and_no_time(folder, parties):
    with post.new_post("post", folder, 8, SESSION, STIMULATOR) as arena:
        ring = arena.ring("post")
        sent, dropped = parties[0].ask("produce", "post", str(folder), [5, 1000], False)
        assert (sent, dropped) == (list(range(8)), 997)
        assert post.serials(RingReader(ring, SESSION).take()) == sent
        assert parties[0].ask("produce", "post", str(folder), [3], False) == [[], 1000]
        assert post.serials(RingReader(ring, STIMULATOR).take()) == sent


def test_waiting_ends_with_the_first_record_or_in_time(folder, parties):
    with post.new_post("post", folder, 8, SESSION) as arena:
        assert wait_for(arena.ring("post"), SESSION, 0) == 0
        assert wait_for(arena.ring("post"), SESSION, 100_000) == 0
        parties[0].tell("produce", "post", str(folder), [1], False)
        assert wait_for(arena.ring("post"), SESSION, A_MINUTE_NS) == 1
        parties[0].answer()


def test_a_killed_producer_leaves_whole_records(folder):
    with post.new_post("post", folder, 64, SESSION) as arena, post.Party() as producer:
        ring, reader, got = arena.ring("post"), RingReader(arena.ring("post"), SESSION), []
        producer.tell("produce_for_ever", "post", str(folder))
        while len(got) < 10_000:
            assert wait_for(ring, SESSION, A_MINUTE_NS)
            got += post.serials(reader.take())
        producer.kill()
        got += post.serials(reader.take())
        assert got == sorted(set(got))
        assert len(got) == load_head(ring.words)
        assert got[-1] <= len(got) + int(ring.words[DROPPED])
        assert sweep(folder) == [], "its owner lives"


def take(reader, ring, n):
    """Return the next n serials."""
    got = []
    while len(got) < n:
        assert wait_for(ring, SESSION, A_MINUTE_NS)
        got += post.serials(reader.take())
    return got


def test_a_killed_reader_costs_records_until_it_is_detached(folder, parties):
    here, producer = ("post", str(folder)), parties[0]
    with post.new_post("post", folder, 4, SESSION, RECORDER) as arena, post.Party() as victim:
        ring = arena.ring("post")
        reader = RingReader(ring, SESSION)
        victim.tell("read", *here, RECORDER, 0, 0)
        producer.tell("produce", *here, [9], True)
        assert take(reader, ring, 9) == list(range(9)), "so the other one has read at least 5"
        producer.answer()
        victim.kill()
        sent, _ = producer.ask("produce", *here, [100], False)
        assert len(sent) <= 4
        assert take(reader, ring, len(sent)) == sent
        store_tail(ring.words, RECORDER, -1)
        producer.tell("produce", *here, [100], True)
        assert take(reader, ring, 100) == list(range(100))
        producer.answer()
        assert sweep(folder) == [], "its owner lives"
    assert segments(folder) == []


@pytest.mark.parametrize("survivors", [0, 1])
def test_a_killed_owner_leaves_nothing_once_all_others_have_ended(folder, survivors):
    with post.Party() as owner, post.Party() as other:
        assert owner.ask("create", "post", str(folder), 8, SESSION) == "created"
        if survivors:
            assert other.ask("hold", "post", str(folder)) == "held"
        assert sweep(folder) == []
        owner.kill()
        (segment,) = segments(folder)
        assert segment.name == "post"
        assert segment.stale == (not survivors)
        if survivors:
            assert sweep(folder) == [], "a live process maps it"
            other.kill()
        assert sweep(folder) == ["post"]
    with post.new_post("post", folder, 8, SESSION):
        assert [(s.name, s.stale) for s in segments(folder)] == [("post", False)]


def test_a_new_session_may_take_the_name_of_a_killed_one_at_once(folder):
    with post.Party() as owner, post.Party() as next_owner:
        owner.ask("create", "post", str(folder), 8, SESSION)
        owner.kill()
        assert next_owner.ask("create", "post", str(folder), 8, SESSION) == "created"
        Arena.attach("post", folder).close()
        assert [s.stale for s in segments(folder)] == [False], "only the owner removes the name"
