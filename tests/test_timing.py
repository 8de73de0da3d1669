import pytest

from ganfp_tf import timing


@pytest.fixture
def now(monkeypatch):
    class Time:
        seconds = 100.0

        def monotonic(self):
            return self.seconds

    time = Time()
    monkeypatch.setattr(timing, "time", time)
    return time


def test_laps_add_up_by_name(now):
    watch = timing.Clock()
    for name, seconds in (("import", 2.0), ("training", 30.0), ("import", 1.5)):
        with watch.lap(name):
            now.seconds += seconds
    now.seconds += 6.5
    assert watch.laps == {"import": 3.5, "training": 30.0}
    assert watch.summary() == "seconds: import 4, training 30, in all 40"


def test_what_fails_has_taken_its_time(now):
    watch = timing.Clock()
    with pytest.raises(ValueError, match="no"), watch.lap("export"):
        now.seconds += 4.0
        raise ValueError("no")
    assert watch.laps == {"export": 4.0}


def test_memory_is_that_of_this_process():
    held = bytearray(64 * 2**20)
    assert timing.peak_bytes() > len(held)
