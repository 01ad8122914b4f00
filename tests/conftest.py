"""What every test gets: a time limit, and on request the key that stops a program."""

import faulthandler
import os
import signal

import pytest

# Seconds that a test may take with all its fixtures; 0 is no limit. The slowest takes a fortieth on
# a free machine. A program that a test starts has a shorter limit of its own.
LIMIT = float(os.environ.get("LAMINA_TEST_TIMEOUT", "400"))


def pytest_configure(config):
    # While tests run, pytest collects what is written to the descriptor itself.
    config.lamina_stderr = open(os.dup(2), "w")  # noqa: SIM115


def pytest_unconfigure(config):
    config.lamina_stderr.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Ends the run with the stacks of all threads when a test takes too long. This is done by a
    thread that needs no GIL, so that a call which never returns is seen as well."""
    if LIMIT > 0:
        faulthandler.dump_traceback_later(LIMIT, exit=True, file=item.config.lamina_stderr)
    yield
    faulthandler.cancel_dump_traceback_later()


def pytest_exception_interact():  # somebody may be looking at it in a debugger
    faulthandler.cancel_dump_traceback_later()


pytest_enter_pdb = pytest_exception_interact


@pytest.fixture
def ctrl_c():
    """Makes SIGINT raise KeyboardInterrupt, also where it was ignored when Python began, as under
    nohup and after `&` in a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
