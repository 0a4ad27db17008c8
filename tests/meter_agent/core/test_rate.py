"""A rate over the last minute."""

from meter_agent.core.rate import WINDOW_SECONDS, RateWindow


def test_the_rate_is_what_was_counted_in_the_last_minute_over_sixty_seconds() -> None:
    window = RateWindow()
    window.add(600, now_seconds=1_000.2)
    window.add(300, now_seconds=1_000.9)
    window.add(300, now_seconds=1_030.0)
    assert window.per_second(now_seconds=1_030.0) == 20.0  # 1,200 / 60
    assert window.per_second(now_seconds=1_061.0) == 5.0  # 300 / 60
    assert window.per_second(now_seconds=1_090.0) == 0.0


def test_the_window_stays_as_small_as_a_minute() -> None:
    window = RateWindow()
    for second in range(10_000):
        window.add(1, now_seconds=float(second))
    assert len(window._buckets) == WINDOW_SECONDS + 1
    assert window.per_second(now_seconds=9_999.0) == 1.0
