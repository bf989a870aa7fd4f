"""Ctrl-C in training: noted once, obeyed at the next safe place, and never left with another meaning."""

import signal

import pytest

from pynn.train.interrupt import Interrupts

pytestmark = pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is not signal.default_int_handler, reason="Ctrl-C has another handler here"
)


def test_an_exit_that_was_cut_off_leaves_the_usual_meaning():
    def begin():
        Interrupts().__enter__()  # and no __exit__: as after an interrupt of its first line

    begin()
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
        assert interrupts.noted
        begin()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_second_one_is_raised_at_once_and_gives_the_usual_handler_back():
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.noted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
