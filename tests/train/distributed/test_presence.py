"""Silence is counted in looks; the signs themselves need the store of real processes."""

from jaxsched.train.distributed.presence import Presence


def test_a_store_that_takes_no_sign_has_gone_after_so_many_looks():
    presence = Presence(looks=3)
    assert [presence.store_has_gone() for _ in range(5)] == [False, False, True, True, True]
