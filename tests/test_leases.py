"""Memory of large results comes back when nobody uses them any more, and never before."""

import gc

import numpy as np
import pytest

from fastgrad import _leases

LARGE = _leases.LARGE // 8


@pytest.fixture(autouse=True)
def nothing_kept():
    _leases._kept.clear()
    yield
    _leases._kept.clear()


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_when_the_result_is_gone():
    first = _leases.empty((2, LARGE))
    place = address(first)
    del first
    assert address(_leases.empty((LARGE, 2))) == place


@pytest.mark.parametrize("view", [lambda a: a[1:], lambda a: a.T, lambda a: a.reshape(-1)[::2], memoryview, iter])
def test_any_view_keeps_it(view):
    first = _leases.empty((2, LARGE))
    place, kept = address(first), view(first)
    del first
    gc.collect()
    second = _leases.empty((2, LARGE))
    assert address(second) != place
    del kept
    gc.collect()
    assert len(_leases._kept) == 1


def test_results_in_use_do_not_share_memory():
    a, b = _leases.empty((LARGE,)), _leases.empty((LARGE,))
    assert not np.shares_memory(a, b)


def test_small_results_are_ordinary_arrays():
    assert _leases.empty((3, 4)).flags.owndata


def test_no_more_is_kept_than_said(monkeypatch):
    monkeypatch.setattr(_leases, "MOST_KEPT", 3 * _leases.LARGE)
    results = [_leases.empty((LARGE,)) for _ in range(5)]
    too_large = _leases.empty((4 * LARGE,))
    del results, too_large
    assert sum(memory.nbytes for memory in _leases._kept.values()) == 3 * _leases.LARGE


def test_much_larger_memory_is_left_for_larger_results():
    large = _leases.empty((4 * LARGE,))
    place = address(large)
    del large
    assert address(_leases.empty((LARGE,))) != place
