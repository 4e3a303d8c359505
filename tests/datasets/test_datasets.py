"""The data sets hold what their notes say, in the types that the library computes in."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from microweights import datasets
from microweights.datasets import Dataset, holdout, load_digits, load_houses


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_digits()


@pytest.fixture(scope="module")
def houses() -> Dataset:
    return load_houses()


def column(dataset: Dataset, name: str) -> np.ndarray:
    return dataset.data[:, dataset.feature_names.index(name)]


@pytest.mark.parametrize("load", [load_digits, load_houses])
def test_every_data_set_keeps_one_form(load):
    dataset = load()
    samples, features = dataset.data.shape
    assert dataset.data.dtype == np.float32
    assert dataset.data.flags.c_contiguous and dataset.target.flags.c_contiguous
    assert dataset.target.shape == (samples,)
    assert len(dataset.feature_names) == len(set(dataset.feature_names)) == features
    assert np.isfinite(dataset.data).all() and np.isfinite(dataset.target).all()
    for heading in ("## Source", "## Licence"):
        assert heading in dataset.description
    assert len(repr(dataset)) < 120


@pytest.mark.parametrize("load", [load_digits, load_houses])
def test_return_x_y_gives_the_same_two_arrays(load):
    dataset = load()
    data, target = load(return_X_y=True)
    np.testing.assert_array_equal(data, dataset.data)
    np.testing.assert_array_equal(target, dataset.target)
    assert not np.shares_memory(data, dataset.data), "who changes one result should not change the next"


@pytest.mark.parametrize("load, name", [(load_digits, "target"), (load_houses, "price")])
def test_frames_and_keys_as_scikit_learns(load, name):
    pd = pytest.importorskip("pandas")
    dataset, framed = load(), load(as_frame=True)
    assert framed.data.columns.tolist() == list(dataset.feature_names) == list(framed["feature_names"])
    assert (framed.data.to_numpy() == dataset.data).all() and (framed.data.dtypes == np.float32).all()
    assert framed.target.name == name and (framed.target.to_numpy() == dataset.target).all()
    pd.testing.assert_frame_equal(framed.frame, framed.data.assign(**{name: framed.target}))
    data, target = load(return_X_y=True, as_frame=True)
    pd.testing.assert_frame_equal(data, framed.data)
    pd.testing.assert_series_equal(target, framed.target)
    assert dataset.frame is None and dataset["data"] is dataset.data and dataset.description == dataset.DESCR
    assert dict(dataset)["target"] is dataset.target and ("images" in dataset) == (load is load_digits)
    assert load is load_houses or framed.images.shape == (1797, 8, 8)
    with pytest.raises(KeyError, match="Check the spelling"):
        dataset["X"]


def test_digits_are_1797_pictures_of_ten_digits(digits):
    assert digits.data.shape == (1797, 64)
    assert digits.target.dtype == np.int64
    counts_of_uci = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(digits.target).tolist() == counts_of_uci
    assert digits.data.min() == 0 and digits.data.max() == 16
    assert (digits.data == digits.data.round()).all()
    assert digits.target_names == tuple("0123456789")
    assert digits.feature_names[9] == "pixel_1_1"
    assert "CC BY 4.0" in digits.description and "10.24432/C50P49" in digits.description


def test_images_are_the_rows_of_data_as_pictures(digits):
    assert digits.images.shape == (1797, 8, 8)
    assert np.shares_memory(digits.images, digits.data)
    assert digits.images[5, 1, 1] == column(digits, "pixel_1_1")[5]


def test_digits_equal_those_of_scikit_learn(digits):
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    np.testing.assert_array_equal(digits.data, theirs.data)
    np.testing.assert_array_equal(digits.images, theirs.images)
    np.testing.assert_array_equal(digits.target, theirs.target)
    assert list(digits.feature_names) == list(theirs.feature_names)


def test_houses_are_25357_sales_in_dollars(houses):
    assert houses.data.shape == (25_357, 32)
    assert houses.target.dtype == np.float32
    assert houses.target_names == ("price",)
    assert (houses.target.min(), np.median(houses.target), houses.target.max()) == (2_000, 65_500, 875_000)
    assert houses.target.astype(float).mean() == pytest.approx(79_018, abs=0.5)
    assert "CC0" in houses.description


@pytest.mark.parametrize(
    "name, low, high",
    [
        ("TLA", 120, 7616),
        ("rooms", 1, 20),
        ("beds", 0, 9),
        ("baths", 0, 7),
        ("halfbaths", 0, 3),
        ("yrbuilt", 1835, 1998),
        ("garagesqft", 0, 5755),
        ("lotsize", 702, 429_100),
        ("frontage", 0, 810),
        ("depth", 0, 1587),
        ("easting", 484_600, 538_400),
        ("northing", 195_300, 229_800),
    ],
)
def test_columns_of_houses_span_what_the_source_says(houses, name, low, high):
    values = column(houses, name)
    assert (values.min(), values.max()) == (low, high)


def test_first_house_is_that_of_the_source(houses):
    known = {"TLA": 3273, "rooms": 12, "beds": 4, "baths": 3, "halfbaths": 1, "yrbuilt": 1978, "garagesqft": 625}
    known |= {"lotsize": 53_496, "frontage": 177, "depth": 0, "easting": 484_700, "northing": 195_300}
    known |= {"stories=one+half": 1, "wall=partbrk": 1, "garage=attached": 1, "wall=brick": 0}
    assert {name: column(houses, name)[0] for name in known} == known
    assert column(houses, "sold")[0] == pytest.approx(1996 + (3 + 22 / 31) / 12)  # 23 April 1996
    assert houses.target[0] == 303_000


def test_date_of_sale_falls_into_the_years_of_the_source(houses):
    years, sales = np.unique(np.floor(column(houses, "sold")), return_counts=True)
    assert years.tolist() == [1993, 1994, 1995, 1996, 1997, 1998]
    assert sales.tolist() == [3260, 3719, 4130, 4838, 5032, 4378]


@pytest.mark.parametrize(
    "group, counts",
    [
        ("stories", "one 12954, bilevel 509, multilvl 723, one+half 3125, two 8042, two+half 2, three 2"),
        ("wall", "stucdrvt 204, ccbtile 129, metlvnyl 4235, brick 3633, stone 86, wood 11174, partbrk 5896"),
        ("garage", "no garage 3488, basement 78, attached 9018, detached 12555, carport 218"),
    ],
)
def test_each_house_is_of_one_kind_in_each_group(houses, group, counts):
    kinds = [name for name in houses.feature_names if name.startswith(f"{group}=")]
    one_hot = np.stack([column(houses, kind) for kind in kinds], axis=1)
    assert set(np.unique(one_hot)) == {0, 1}
    assert (one_hot.sum(axis=1) == 1).all()
    found = zip(kinds, one_hot.sum(axis=0), strict=True)
    assert ", ".join(f"{kind.removeprefix(f'{group}=')} {count:.0f}" for kind, count in found) == counts


def test_houses_built_last_sold_for_the_price_of_a_lot_as_the_notes_say(houses):
    built, dollars_per_square_foot = column(houses, "yrbuilt"), houses.target / column(houses, "TLA")
    assert (built >= 1997).sum() == 253
    assert np.median(dollars_per_square_foot[built >= 1997]) == pytest.approx(16, abs=0.5)
    assert np.median(dollars_per_square_foot[(built >= 1994) & (built < 1997)]) == pytest.approx(85, abs=0.5)


def test_a_line_through_living_area_explains_over_half_of_the_price(houses):
    x_train, x_test, y_train, y_test = holdout(column(houses, "TLA").astype(float), houses.target.astype(float))
    line = np.polynomial.Polynomial.fit(x_train, y_train, deg=1)
    r2 = 1 - ((y_test - line(x_test)) ** 2).sum() / ((y_test - y_test.mean()) ** 2).sum()
    assert r2 > 0.5


def test_images_of_houses_is_a_clear_error(houses):
    assert not hasattr(houses, "images")
    with pytest.raises(AttributeError, match=r"data set of images. Received: a table .*TLA.* Use `data` instead"):
        _ = houses.images


def test_a_data_set_is_frozen(digits):
    with pytest.raises(AttributeError):
        digits.data = digits.data * 2


def test_holdout_parts_the_samples_and_keeps_pairs_together():
    data, target = np.arange(60).reshape(30, 2), np.arange(30)
    x_train, x_test, y_train, y_test = holdout(data, target, fraction=0.25)
    assert (len(x_train), len(x_test)) == (22, 8)  # 7.5 rounded up, as scikit-learn does
    assert sorted([*y_train, *y_test]) == list(range(30))
    np.testing.assert_array_equal(x_train, data[y_train])
    np.testing.assert_array_equal(x_test, data[y_test])
    assert list(y_test) != sorted(y_test), "samples should be shuffled"


def test_holdout_depends_on_its_seed_alone():
    data = np.arange(100)
    first, again, other = (holdout(data, data, seed=seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert list(first) != list(other)


@pytest.mark.parametrize("fraction", [0, 1, -0.2, 1.5, 20, float("nan"), 0.95])
def test_holdout_rejects_a_fraction_that_leaves_a_side_empty(fraction):
    with pytest.raises(ValueError, match=r"between 0 and 1 .* Received: fraction=.* of 10 samples. Pass 0.2"):
        holdout(np.zeros(10), np.zeros(10), fraction=fraction)


def test_holdout_rejects_arrays_of_different_length():
    with pytest.raises(ValueError, match="Received: 3 and 4 entries"):
        holdout(np.zeros(3), np.zeros(4))


def test_importing_reads_no_data():
    code = """if True:
        import sys
        opened = []
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
        import microweights.datasets
        print([path for path in opened if path.endswith((".gz", ".md"))])
        microweights.datasets.load_digits()
        print(sum(path.endswith((".gz", ".md")) for path in opened) > 0)  # the hook does see files
    """
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["[]", "True"]


def test_data_files_stay_small_and_each_has_its_note():
    folder = Path(datasets.__file__).parent / "data"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_050_000
    for file in (f for f in folder.iterdir() if f.suffix != ".md"):
        assert "## Licence" in (folder / f"{file.name.split(chr(46))[0]}.md").read_text(encoding="utf-8")
