"""Every op, every aspect: a new card or composite needs no edit here."""

import pytest

from pynn import testing


@pytest.mark.parametrize("aspect", list(testing.CHECKS))
@pytest.mark.parametrize("name", sorted(testing.all_ops()))
def test_op(name, aspect):
    testing.CHECKS[aspect](name)
