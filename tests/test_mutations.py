"""The list of planted bugs still fits the sources. Building and running them is the work of
tests/mutation/mutate.py, which takes minutes.
"""

import sys
from pathlib import Path

import pytest

MUTATION = Path(__file__).parent / "mutation"


@pytest.fixture
def mutate(monkeypatch):
    monkeypatch.syspath_prepend(str(MUTATION))
    import mutate

    yield mutate
    for name in ("mutate", "mutations"):
        sys.modules.pop(name, None)


def test_every_pattern_is_found_exactly_once(mutate):
    assert mutate.check_patterns() == []
    assert len(mutate.MUTATIONS) >= 30
    assert len({(m.file, m.old, m.new) for m in mutate.MUTATIONS}) == len(mutate.MUTATIONS)


def test_a_pattern_that_rots_is_reported(mutate):
    good = mutate.MUTATIONS[0]
    for wrong in (
        good._replace(old="no such line in any kernel"),
        good._replace(old="float"),
        good._replace(file="kernels/no_such_file.cpp"),
        good._replace(new=good.old),
        good._replace(tests="no_such_family"),
    ):
        assert len(mutate.check_patterns(mutations=[good, wrong])) == 1
