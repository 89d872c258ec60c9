"""The random crop against closed forms of its distribution, the centre against Pillow."""

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from jaxsched.data import RandomResizedCrop
from jaxsched.data.transforms.crop import centre_box, choose_box, resize_box


def boxes(width, height, count, crop=RandomResizedCrop()):  # noqa: B008 - frozen
    random = np.random.default_rng(0)
    return np.array([crop.box(width, height, random) for _ in range(count)])


def test_areas_and_ratios_of_a_square_image_follow_the_law_of_what_fits():
    """(area, ln ratio) is uniform where |ln ratio| ≤ −ln area, which is: where both sides fit."""
    side, widest = 20_000, np.log(4 / 3)
    left, top, right, bottom = boxes(side, side, 4000).T
    areas = (right - left) * (bottom - top) / side**2
    ratios = np.log((right - left) / (bottom - top))

    def below(area):
        """∫ min(widest, −ln a) da from 0: linear up to 3/4, then a − a ln a."""
        curved = np.maximum(area, 0.75)
        return (
            widest * np.minimum(area, 0.75)
            + (curved - curved * np.log(curved))
            - (0.75 - 0.75 * np.log(0.75))
        )

    def area_law(area):
        return (below(area) - below(0.08)) / (below(1.0) - below(0.08))

    assert stats.kstest(areas, area_law).pvalue > 0.01
    free = areas < 0.75  # where every ratio fits
    assert stats.kstest(ratios[free], stats.uniform(-widest, 2 * widest).cdf).pvalue > 0.01
    # The place is uniform over the room that is left, across and down.
    across, down = left / (side - (right - left)), top / (side - (bottom - top))
    for places in (across, down):
        assert stats.kstest(places, "uniform").pvalue > 0.01
    assert abs(stats.pearsonr(across, down).statistic) < 0.05


@pytest.mark.parametrize(("width", "height"), [(500, 375), (3, 2), (1, 1), (40, 9)])
def test_boxes_lie_inside_in_whole_pixels(width, height):
    left, top, right, bottom = boxes(width, height, 300).T
    assert left.min() >= 0 and top.min() >= 0
    assert right.max() <= width and bottom.max() <= height
    assert (right > left).all() and (bottom > top).all()
    assert left.dtype == np.int64


@pytest.mark.parametrize(
    ("size", "expected"),
    # The whole area does not fit at any ratio that is allowed; at 4 / 3, 133 × 100 do.
    [((1000, 100), (433, 0, 566, 100)), ((100, 1000), (0, 433, 100, 566))],
)
def test_what_never_fits_is_the_largest_part_in_the_middle(size, expected):
    crop = RandomResizedCrop(area=(1.0, 1.0))
    assert {crop.box(*size, np.random.default_rng(seed)) for seed in range(20)} == {expected}


def test_each_end_of_a_square_image_is_reached():
    left, _, right, _ = boxes(4, 4, 300).T
    assert left.min() == 0 and (left > 0).any() and right.max() == 4 and (right < 4).any()


@pytest.mark.parametrize("size", [(500, 375), (333, 500), (12, 9), (64, 64)])
@pytest.mark.parametrize("share", [1.0, 0.875])
def test_the_centre_is_what_resizing_and_cutting_leaves(size, share):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    image = Image.fromarray(pixels)
    shorter, target = round(56 / share), min(size)
    wide, high = (round(side * shorter / target) for side in size)
    resized = image.resize((wide, high), Image.Resampling.BILINEAR)
    left, top = (wide - 56) // 2, (high - 56) // 2
    expected = np.asarray(resized.crop((left, top, left + 56, top + 56))).astype(int)
    got = resize_box(image, centre_box(*size, 56, share), 56)
    assert np.abs(got - expected).max() <= 1  # boxes are float32 in Pillow


def test_training_draws_and_evaluation_does_not():
    crop, random = RandomResizedCrop(centre=0.5), np.random.default_rng
    assert choose_box(100, 100, 10, crop, None) == (25, 25, 75, 75)
    assert choose_box(100, 100, 10, None, random(0)) == (0, 0, 100, 100)
    assert choose_box(100, 100, 10, crop, random(0)) == crop.box(100, 100, random(0))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"area": (0.0, 1.0)}, r"area as two shares in order within \(0, 1\], got"),
        ({"area": (0.5, 0.2)}, "in order"),
        ({"ratio": (0.0, 1.0)}, "ratio as two numbers above 0"),
        ({"centre": 1.5}, r"centre within \(0, 1\]"),
        ({"centre": "half"}, "centre='half'"),
        ({"area": 0.5}, "area as 2 numbers, got area=0.5"),
        ({"area": (0.1, 0.5, 1.0)}, "area as 2 numbers"),
        ({"ratio": (1, float("inf"))}, "ratio as 2 numbers"),
    ],
)
def test_shares_that_are_none_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        RandomResizedCrop(**fields)
