"""The lead-time benchmark: its books, its thresholds, and that its detectors order as they should on a small book."""

import numpy as np
import pytest

from streams.bench.leadtime import DETECTORS, RAMP_START, VALUES, alarms, limits_for, lived, visits


def test_book_fades_where_it_says() -> None:
    """Healthy accounts go on as they were; fading ones do a twentieth at the end; the same seed gives the same book."""
    counts = visits(7, 400, 400)
    before, after = counts[:RAMP_START].mean(axis=0), counts[180:].mean(axis=0)
    assert after[:400].mean() == pytest.approx(before[:400].mean(), rel=0.05)
    assert after[400:].mean() == pytest.approx(0.05 * before[400:].mean(), rel=0.2)
    assert (visits(7, 400, 400) == counts).all()


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)
def test_thresholds_let_one_healthy_account_in_twenty_alarm(detector) -> None:
    """On the very accounts they are set on, at most 5 % ever alarm, and hardly fewer where values are fine-grained."""
    values = np.random.default_rng(3).standard_normal((210, 1_000, len(VALUES)))
    values = (values + np.roll(values, 1, axis=0) + np.roll(values, 2, axis=0)) / 3
    share = alarms(detector, values, limits_for(detector, values)).any(axis=0).mean()
    assert 0.04 <= share <= 0.05


def test_kernel_notices_a_fade_that_a_level_misses() -> None:
    """By day 45 of a ramp the account's own noise tells more than a fixed level; values are known from the first day on."""
    found = lived(visits(11, 120, 40), 11)
    healthy = found[:, :120]
    assert not np.isnan(found[60:]).any()
    noticed = {
        detector.name: alarms(detector, found, limits_for(detector, healthy))[RAMP_START : RAMP_START + 60, 120:]
        .any(axis=0)
        .mean()
        for detector in DETECTORS
    }
    assert noticed["surprise or momentum in cohort days"] > noticed["fixed level, decayed over 7 days"] + 0.2
