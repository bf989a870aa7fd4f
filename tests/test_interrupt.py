"""Ctrl-C: noted once in a training, obeyed at the next safe place, and at no place leaving anything as it was not."""

import signal

import pytest

from pynn._blocks import Interrupts, Leaving, context

pytestmark = pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is not signal.default_int_handler, reason="Ctrl-C has another handler here"
)


def test_a_second_one_is_raised_at_once_and_the_usual_handler_comes_back():
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.noted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_called_in_leaving_is_called_whatever_fails():
    done = []

    def fails():
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"), Leaving((done.append, 1), (fails,), (done.append, 2)):
        pass
    assert done == [1, 2]
    with Leaving((done.append, 3), failed=True):
        pass
    with Leaving((fails,), ignore=ValueError):
        pass
    assert done == [1, 2]
    with pytest.raises(KeyError), Leaving((done.append, 3), failed=True):
        raise KeyError
    assert done == [1, 2, 3]


def test_a_generator_as_a_block():
    seen = []

    @context
    def block(swallow):
        seen.append("in")
        try:
            yield 5
        except KeyError:
            seen.append("key")
            if not swallow:
                raise
        finally:
            seen.append("out")

    with block(False) as given:
        assert given == 5
    with block(True):
        raise KeyError
    with pytest.raises(KeyError), block(False):
        raise KeyError
    with pytest.raises(StopIteration), block(False):
        raise StopIteration
    assert seen == ["in", "out", "in", "key", "out", "in", "key", "out", "in", "out"]

    @context
    def never():
        yield from ()

    @context
    def twice():
        yield
        yield

    with pytest.raises(RuntimeError, match="did not yield"), never():
        pass
    with pytest.raises(RuntimeError, match="twice"), twice():
        pass
