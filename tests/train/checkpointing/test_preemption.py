"""Signals are remembered, but for the one that nohup ignores."""

import os
import signal

import pytest

from jaxsched.train import SignalHandler


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_remembered_and_the_handler_before_comes_back(number):
    # The tests themselves may run under nohup.
    outside = signal.signal(number, signal.default_int_handler)
    try:
        with SignalHandler() as signals:
            os.kill(os.getpid(), number)
            assert signals.received == number
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, outside)


def test_a_process_under_nohup_does_not_end_with_its_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalHandler() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.received is None
    finally:
        signal.signal(signal.SIGHUP, before)
