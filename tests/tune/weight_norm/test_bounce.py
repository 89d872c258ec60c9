"""The trend on the weight norm: curves with known answers, SGD's own balance, the plots."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from jaxsched.tune.weight_norm.bounce import advice, find_bounce, is_decided
from jaxsched.tune.weight_norm.plots import draw_norms, text_norms

SETTING = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "steps_per_epoch": 100}


def bounce_of(*norms):
    return find_bounce(range(len(norms)), norms)


def decided(*norms):
    return is_decided(range(len(norms)), norms)


@pytest.mark.parametrize(
    ("norms", "trend", "minimum_epoch"),
    [
        ((100, 80, 70, 75, 80), "bounces", 2),
        ((100, 80, 60, 50), "falls", 3),
        ((100, 80, 60, 60.5), "falls", 2),  # risen, but by less than 1 %
        ((100, 102, 105, 110), "rises", 0),
        ((100, 99.5, 102), "rises", 1),  # a fall of less than 1 % is none
        ((100, 100.5, 99.8, 100.4), "flat", 2),
        ((100, 102, 101.5, 100.8), "falls", 3),  # from the largest norm, not from the initial one
        ((100, 130, 90, 110), "bounces", 2),  # first up, then a bounce like any other
        ((100, 130, 110, 120), "bounces", 2),  # … even above the initial norm
        ((100, 130, 110), "falls", 2),
        ((100, 98.9, 100.5), "bounces", 1),  # at both ends
        ((100, 98, 100, 60, 50, 70), "bounces", 4),  # of two, the clearer
        ((100, 60, 50, 70, 40, 30), "bounces", 2),  # what follows a bounce does not undo it
        ((100,), "flat", 0),
        ((100, 99), "falls", 1),
        ((100, 101), "rises", 0),
    ],
)
def test_curves_with_known_answers(norms, trend, minimum_epoch):
    bounce = bounce_of(*norms)
    assert (bounce.trend, bounce.minimum_epoch) == (trend, minimum_epoch)
    assert bounce.epochs == len(norms) - 1


def test_the_evidence_in_numbers():
    bounce = find_bounce([0, 0.5, 2, 3.5, 4], [100, 160, 80, 100, 90])
    assert (bounce.trend, bounce.epochs, bounce.minimum_epoch) == ("bounces", 4, 2)
    assert (bounce.first_rise, bounce.fall, bounce.rise) == pytest.approx((0.6, 0.5, 0.25))


@pytest.mark.parametrize(
    ("norms", "expected"),
    [
        ((100, 50, 52, 54), True),
        ((100, 50, 52), False),  # one row after the minimum
        ((100, 50, 50.4, 50.8), False),  # risen by less than 2 %
        ((100, 50, 54, 50.1, 50.2), True),  # it had risen enough
        ((100, 90, 80, 70, 60, 50, 40), False),  # a fall may always end in a bounce
        ((100, 102, 104, 106, 108, 110), True),
        ((100, 102, 104, 106, 108), False),  # four rows
        ((100, 100.5, 101, 102, 103, 104), False),  # not by 5 %
        ((100, 104, 108, 107.9, 112, 116), False),  # not in every row
        ((100,), False),
    ],
)
def test_when_a_short_run_may_stop(norms, expected):
    assert decided(*norms) is expected


NORMS = st.lists(st.floats(1, 1000), min_size=1, max_size=20)


@given(NORMS, st.integers(-60, 60))
def test_the_unit_of_the_norm_does_not_matter(norms, exponent):
    scaled = [math.ldexp(norm, exponent) for norm in norms]  # powers of 2 round nothing
    assert bounce_of(*scaled) == bounce_of(*norms)
    assert decided(*scaled) == decided(*norms)


@given(NORMS, NORMS)
def test_a_bounce_stays_one_and_a_decided_one_stays_decided(norms, more):
    if bounce_of(*norms).trend == "bounces":
        assert bounce_of(*norms, *more).trend == "bounces"
        assert decided(*norms, *more) or not decided(*norms)


@given(NORMS)
def test_the_trend_is_what_its_evidence_says(norms):
    bounce = bounce_of(*norms)
    falls, rises = bounce.fall >= 0.01, bounce.rise >= 0.01
    assert (bounce.trend == "bounces") == (falls and rises)
    assert (bounce.trend == "falls") == (falls and not rises)
    if decided(*norms):
        assert bounce.trend in ("bounces", "rises")


@given(NORMS)
def test_sorted_norms_never_bounce(norms):
    assert bounce_of(*sorted(norms)).trend in ("rises", "flat")
    assert bounce_of(*sorted(norms, reverse=True)).trend in ("falls", "flat")


@pytest.mark.parametrize(
    ("epochs", "norms", "message"),
    [
        ([], [], "0 epochs and 0 squared norms"),
        ([0, 1], [1], "2 epochs and 1 squared norms"),
        ([0, 1, 1], [1, 2, 3], "epochs in increasing order"),
        ([1, 2, 3], [1, 2, 3], "find_bounce needs 0 as the first epoch, .* got 1"),
        ([0, 1, 2], [1, math.nan, 3], "got nan at epoch 1; a run that diverges"),
        ([0, 1], [1, math.inf], "got inf at epoch 1"),
        ([0, 1], [0, 1], "got 0.0 at epoch 0"),
    ],
)
def test_what_is_no_curve_is_refused(epochs, norms, message):
    for function in (find_bounce, is_decided):
        with pytest.raises(ValueError, match=message):
            function(epochs, norms)


ETA, DECAY, STEPS = 1.0, 5e-4, 100


def balance(start, noise_at, epochs=40):
    """|w|² at the ends of epochs where |g|² = G / |w|² and g·w = 0, as in a layer under a norm."""
    norm, norms = start, [start]
    for step in range(epochs * STEPS):
        norm = norm * (1 - 2 * ETA * DECAY) + ETA**2 * noise_at(step / STEPS) / norm
        if (step + 1) % STEPS == 0:
            norms.append(norm)
    return norms


# |w|⁴ = η G / (2 λ) stays what it is.
def equilibrium(G):
    return math.sqrt(ETA * G / (2 * DECAY))


@pytest.mark.parametrize(("start", "trend"), [(300.0, "falls"), (30.0, "rises"), (100.0, "flat")])
def test_steady_gradients_end_in_the_equilibrium_without_a_bounce(start, trend):
    assert equilibrium(10.0) == 100.0
    norms = balance(start, lambda epoch: 10.0)
    assert bounce_of(*norms).trend == trend
    assert norms[-1] == pytest.approx(100.0, rel=1e-2)
    assert decided(*norms) == (trend == "rises")


def test_the_norm_relaxes_at_the_decays_own_rate():
    # |w|⁴ goes to its equilibrium exponentially, so (|w|⁴ − 100²) falls by e⁻² in 1 / (2 η λ).
    norms = np.array(balance(300.0, lambda epoch: 10.0))
    distance = norms**2 - 100.0**2
    scale = 1 / (2 * ETA * DECAY) / STEPS
    assert scale == 10
    assert distance[10] / distance[0] == pytest.approx(math.exp(-2), rel=1e-2)


def test_growing_gradients_bounce():
    norms = balance(300.0, lambda epoch: 1.0 + epoch**2)
    bounce = bounce_of(*norms)
    assert bounce.trend == "bounces"
    assert decided(*norms)
    # At the turn the two terms balance.
    lowest = int(bounce.minimum_epoch)
    assert norms[lowest] == pytest.approx(equilibrium(1.0 + lowest**2), rel=0.1)
    assert bounce_of(*norms[: lowest + 1]).trend == "falls"


def test_advice_on_a_bounce():
    text = advice(bounce_of(100, 60, 50, 60), **SETTING)
    assert "Up to epoch 3, |w|² fell by 50.0% (lowest at epoch 2) and has risen by 20.0%" in text
    assert "necessary, not sufficient" in text
    assert "js.Abel(decay_factor=0.2) on CIFAR" in text
    assert "one run says (n=1)" in text
    assert "guard_rising" not in text
    assert "guard_rising=True" in advice(bounce_of(100, 130, 90, 110), **SETTING)
    assert "there is none here" in advice(bounce_of(100, 60, 80), **SETTING | {"weight_decay": 0.0})


def test_advice_on_a_rise():
    rising = bounce_of(*range(100, 121))
    text = advice(rising, **SETTING)
    assert "rose by 20.0%" in text
    assert "one late decay, at 85 to 90% of the run, is enough" in text
    assert "1,000 updates, 10 epochs. The run was longer than that: the gradients outweigh" in text
    slow = advice(rising, **SETTING | {"learning_rate": 0.01})
    assert (
        "10,000 updates, 100 epochs. The run was shorter than that: a learning rate as small as"
        in slow
    )


@pytest.mark.parametrize("norms", [(100, 90, 80), (100, 110, 120), (100, 100)])
def test_advice_without_weight_decay_expects_no_bounce(norms):
    text = advice(bounce_of(*norms), **SETTING | {"weight_decay": 0.0})
    assert "no weight decay, and without it no bounce is to be expected. No bounce: a" in text
    assert "--epochs" not in text


@pytest.mark.parametrize(("epochs", "longer"), [(3, 50), (30, 60)])
def test_advice_on_a_fall_is_to_look_longer(epochs, longer):
    text = advice(bounce_of(*range(100, 99 - epochs, -1)), **SETTING)
    assert f"Look longer: --epochs {longer}." in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0},
        {"momentum": 1},
        {"weight_decay": -1e-4},
        {"steps_per_epoch": 0},
        {"learning_rate": math.nan},
    ],
)
def test_advice_refuses_numbers_out_of_range(wrong):
    with pytest.raises(ValueError, match=f"advice needs .*{next(iter(wrong))}"):
        advice(bounce_of(1), **SETTING | wrong)


def rows_of(num_layers, num_rows, *, terms=True):
    """Rows of a run whose layers bounce at their own times, as a record holds them."""
    names = [f"ResidualBlock_{n // 2}/Conv_{n % 2}" for n in range(num_layers)]
    numbers = np.arange(num_layers)
    curves = [
        (50 + 5 * numbers) * (1 + 0.02 * epoch**2 - (0.1 + 0.01 * numbers) * epoch)
        for epoch in range(num_rows + 1)
    ]

    def by_name(values):
        return dict(zip(names, values.tolist(), strict=True))

    rows = []
    for epoch in range(1, num_rows + 1):
        change = curves[epoch] - curves[epoch - 1]
        change = {"gradient": change + 5, "decay": change * 0 - 4.5, "alignment": change * 0 - 0.5}
        change = {term: by_name(values) for term, values in change.items()}
        row = {"epoch": float(epoch), "layers": by_name(curves[epoch])}
        rows.append(row | {"norm_change": change if terms else None})
    return rows, by_name(curves[0])


def bounce_in(rows, initial):
    norms = [sum(initial.values()), *(sum(row["layers"].values()) for row in rows)]
    return find_bounce([0.0, *(row["epoch"] for row in rows)], norms)


@pytest.mark.parametrize(
    ("num_layers", "num_rows", "terms"), [(26, 8, True), (3, 8, False), (1, 1, True)]
)
def test_the_image_is_drawn(tmp_path, num_layers, num_rows, terms):
    rows, initial = rows_of(num_layers, num_rows, terms=terms)
    draw_norms(rows, initial, bounce_in(rows, initial), tmp_path / "norms.png", advice="")
    image = imread(tmp_path / "norms.png")
    assert image.shape[1] == 1800
    assert 0 < image[..., :3].mean() < 0.99


def test_the_image_says_what_its_marks_mean(tmp_path, words_of):
    rows, initial = rows_of(3, 8)
    bounce = bounce_in(rows, initial)
    draw_norms(rows, initial, bounce, tmp_path / "norms.svg", advice="Worth a run: js.Abel().")
    words = words_of(tmp_path / "norms.svg")
    assert bounce.trend == "bounces"
    for text in (
        f"fall by {bounce.fall:.1%}",
        f"rise by {bounce.rise:.1%}",
        f"minimum, at epoch {bounce.minimum_epoch:g}",
        "weight decay takes more than the gradients add",
        "Worth a run: js.Abel().",
    ):
        assert text in words


def test_a_layer_that_starts_at_zero_is_drawn_where_it_can_be(tmp_path):
    rows, initial = rows_of(3, 4)
    initial[next(iter(initial))] = 0.0
    draw_norms(rows, initial, bounce_in(rows, initial), tmp_path / "norms.png", advice="")


def test_the_text_plot_shows_the_fall_in_per_cent():
    rows, initial = rows_of(4, 8)
    text = text_norms(rows, initial)
    assert text.startswith(" ") and "% of the initial" in text
    assert "100%" in text and "8 ep" in text


def test_plots_need_norms_by_layer(tmp_path):
    rows, initial = rows_of(2, 2)
    for wrong in ([], [rows[0] | {"layers": None}]):
        with pytest.raises(ValueError, match="weight_norms=True"):
            text_norms(wrong, initial)
        with pytest.raises(ValueError, match="weight_norms=True"):
            draw_norms(wrong, initial, bounce_in(rows, initial), tmp_path / "norms.png", advice="")
