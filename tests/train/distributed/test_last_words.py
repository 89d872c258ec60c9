"""The death of a process closes its pipe to the one that speaks; here the pipe alone is closed."""

import socket

import pytest

from jaxsched.train.distributed.last_words import LastWords
from jaxsched.train.distributed.meeting import Address


@pytest.mark.parametrize(("listens", "words"), [(True, "I have gone\n"), (False, "0 has gone\n")])
def test_words_of_a_process_that_dies_name_the_main_one_if_it_has_gone(listens, words, capfd):
    with socket.create_server(("127.0.0.1", 0)) as main:
        address = Address(*main.getsockname())
        if not listens:
            main.close()
        speaker = LastWords(address, "0 has gone", "I have gone")._speaker
        speaker.stdin.close()
        assert speaker.wait(timeout=60) == 0
    assert capfd.readouterr().err == words


def test_a_farewell_leaves_the_words_unsaid(capfd):
    LastWords(Address("127.0.0.1", 1), "0 has gone", "I have gone").farewell()
    assert capfd.readouterr().err == ""
