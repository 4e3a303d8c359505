"""Small real data sets that travel with the library, and loaders of images that people have on disk.

Handwritten digits and house sales come whole, of Fashion-MNIST a sample. Nothing is read until a loader is called, and nothing
is downloaded or executed. Where each comes from, and its licence, stands beside it in `data/` (and in `Dataset.DESCR`);
`make_data.py` made the files.

>>> digits = load_digits()
>>> digits.data.shape, digits.images.shape
((1797, 64), (1797, 8, 8))
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from ..errors import explain
from .images import load_cifar10, load_cifar100, load_fashion_mnist, load_mnist

__all__ = [
    "Dataset", "holdout", "load_cifar10", "load_cifar100", "load_digits", "load_fashion_mnist", "load_houses", "load_mnist",
]  # fmt: skip

Data = NDArray[np.float32]
Target = NDArray[Any]
X = TypeVar("X", bound=np.generic)
Y = TypeVar("Y", bound=np.generic)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A table of samples and what is to be predicted from each, by scikit-learn's names: `d.data` or `d["data"]`.

    Attributes
    ----------
    data : float32 array, or DataFrame, shape (samples, features)
    target : array, or Series, shape (samples,)
        int64 class labels (digits) or float32 prices in US dollars (houses).
    frame : DataFrame or None
        Both together, if the loader was asked for frames.
    feature_names : one name per column of `data`
    target_names : the name of each class (digits), or of the one number to predict (houses)
    description, DESCR : text
        What the columns mean, their units, the source and the licence.
    image_shape : (height, width), or None where the samples are not images
    """

    data: Any
    target: Any
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    description: str
    image_shape: tuple[int, int] | None = None
    frame: Any = None

    @property
    def DESCR(self) -> str:
        return self.description

    def keys(self) -> list[str]:
        """The names of what is there."""
        names = ("data", "target", "frame", "feature_names", "target_names", "images", "DESCR")
        return [name for name in names if name != "images" or self.image_shape]

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(f"Expected one of {', '.join(self.keys())}. Received: {name!r}. Check the spelling.")
        return getattr(self, name)

    @property
    def images(self) -> Data:
        """The rows of `data` as pictures, shape (samples, height, width): the same memory, not a copy.

        Raises
        ------
        AttributeError
            If the samples are not images.
        """
        if self.image_shape is None:
            raise AttributeError(
                f"`images` should be asked of a data set of images. Received: a table with the columns "
                f"{', '.join(self.feature_names[:3])}, ... Use `data` instead."
            )
        pictures: Data = np.asarray(self.data).reshape(-1, *self.image_shape)
        return pictures

    def __repr__(self) -> str:
        return (
            f"Dataset(data: {np.asarray(self.data).dtype} {self.data.shape}, target: {self.target.dtype} {self.target.shape})"
        )


def _given(dataset: Dataset, return_X_y: bool, as_frame: bool) -> Any:
    """What a loader returns: arrays or frames, in a Dataset or by themselves."""
    if as_frame:
        try:
            import pandas as pd  # type: ignore[import-untyped]
        except ImportError as error:
            raise ImportError(explain("pandas for as_frame=True", str(error), "pip install pandas")) from None
        data = pd.DataFrame(dataset.data, columns=list(dataset.feature_names))
        name = dataset.target_names[0] if len(dataset.target_names) == 1 else "target"
        target = pd.Series(dataset.target, name=name)
        dataset = replace(dataset, data=data, target=target, frame=pd.concat([data, target], axis=1))
    return (dataset.data, dataset.target) if return_X_y else dataset


@overload
def load_digits(*, return_X_y: Literal[False] = False, as_frame: bool = False) -> Dataset: ...
@overload
def load_digits(*, return_X_y: Literal[True], as_frame: Literal[False] = False) -> tuple[Data, Target]: ...
@overload
def load_digits(*, return_X_y: bool = False, as_frame: bool = False) -> Any: ...
def load_digits(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load 1,797 handwritten digits of 8×8 pixels, to be told apart: the data of scikit-learn's `load_digits`.

    Parameters
    ----------
    return_X_y : bool
        Return the two arrays alone instead of a `Dataset`.
    as_frame : bool
        Return a pandas DataFrame and Series, with the names of the columns, instead of arrays.

    Returns
    -------
    Dataset, or (data, target)
        `data` is float32 (1797, 64): the ink in each pixel, whole numbers from 0 (white) to 16 (black), row by row.
        `target` is int64 (1797,): the digit. `images` is `data` as (1797, 8, 8).

    Notes
    -----
    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49, test part. CC BY 4.0.

    >>> digits, labels = load_digits(return_X_y=True)
    >>> labels[:5]
    array([0, 1, 2, 3, 4])
    """
    table = np.loadtxt(_read("digits.csv.gz").splitlines(), delimiter=",", dtype=np.int64)
    data, target = table[:, :-1].astype(np.float32), table[:, -1].copy()
    digits = Dataset(
        data,
        target,
        feature_names=tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8)),
        target_names=tuple(str(digit) for digit in range(10)),
        description=_read("digits.md"),
        image_shape=(8, 8),
    )
    return _given(digits, return_X_y, as_frame)


HOUSE_NUMBERS = (
    *("TLA", "rooms", "beds", "baths", "halfbaths", "yrbuilt"),
    *("garagesqft", "lotsize", "frontage", "depth", "easting", "northing"),
)
HOUSE_WORDS = {
    "stories": ("one", "bilevel", "multilvl", "one+half", "two", "two+half", "three"),
    "wall": ("stucdrvt", "ccbtile", "metlvnyl", "brick", "stone", "wood", "partbrk"),
    "garage": ("no garage", "basement", "attached", "detached", "carport"),
}


@overload
def load_houses(*, return_X_y: Literal[False] = False, as_frame: bool = False) -> Dataset: ...
@overload
def load_houses(*, return_X_y: Literal[True], as_frame: Literal[False] = False) -> tuple[Data, Target]: ...
@overload
def load_houses(*, return_X_y: bool = False, as_frame: bool = False) -> Any: ...
def load_houses(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load 25,357 sales of single-family houses in Lucas County, Ohio, 1993 to 1998: what did each house sell for?

    Parameters
    ----------
    return_X_y : bool
        Return the two arrays alone instead of a `Dataset`.
    as_frame : bool
        Return a pandas DataFrame and Series, with the names of the columns, instead of arrays.

    Returns
    -------
    Dataset, or (data, target)
        `data` is float32 (25357, 32). First 13 numbers: `TLA`, the total living area in square feet; `rooms`, `beds`,
        `baths`, `halfbaths`; `yrbuilt`; `garagesqft` and `lotsize` in square feet; `frontage` and `depth` of the lot in
        feet; `easting` and `northing` in metres (Ohio North state plane, EPSG:2834); `sold`, the date of sale in years
        (1996.5 is the first of July 1996). Then 19 columns of 0 and 1, one for each kind of `stories`, `wall` and
        `garage`, named like `wall=brick`; in each row one of each group is 1.
        `target` is float32 (25357,): the price in US dollars of the day, 2,000 to 875,000.

    Notes
    -----
    Columns differ in scale by a factor of 100,000: standardise them before training. The groups of 0 and 1 add up to 1,
    so with an intercept the columns are linearly dependent. Some kinds are rare (two houses have three stories).
    The 253 houses built in 1997 and later are so cheap that it must have been the bare lot that was sold: give a model
    a column for `yrbuilt >= 1997`, or leave them out.

    Source: county auditor; in J. P. LeSage's Spatial Econometrics Toolbox, and object `house` of the R package spData
    (CC0).

    >>> houses = load_houses()
    >>> houses.feature_names[0], float(houses.data[0, 0]), float(houses.target[0])
    ('TLA', 3273.0, 303000.0)
    """
    header, *rows = _read("houses.csv.gz").splitlines()
    columns = header.split(",")
    code: dict[int | str, Callable[[str], int]] = {columns.index(name): HOUSE_WORDS[name].index for name in HOUSE_WORDS}
    table = np.loadtxt(rows, delimiter=",", dtype=np.int64, converters=code, encoding="utf-8")
    column = dict(zip(columns, table.T, strict=True))

    kinds_of_house = [f"{name}={kind}" for name, kinds in HOUSE_WORDS.items() for kind in kinds]
    numbers = np.stack([*(column[name] for name in HOUSE_NUMBERS), _years(column["sdate"])], axis=1)
    one_hot = [np.eye(len(kinds), dtype=np.float32)[column[name]] for name, kinds in HOUSE_WORDS.items()]
    data = np.concatenate([numbers.astype(np.float32), *one_hot], axis=1)
    target = column["price"].astype(np.float32)
    houses = Dataset(
        data,
        target,
        feature_names=(*HOUSE_NUMBERS, "sold", *kinds_of_house),
        target_names=("price",),
        description=_read("houses.md"),
    )
    return _given(houses, return_X_y, as_frame)


def holdout(
    data: NDArray[X], target: NDArray[Y], fraction: float = 0.2, seed: int = 0
) -> tuple[NDArray[X], NDArray[X], NDArray[Y], NDArray[Y]]:
    """Shuffle the samples and hold some out for testing. (scikit-learn's `train_test_split` does this and more.)

    Parameters
    ----------
    data : array, shape (samples, ...)
    target : array, shape (samples, ...)
    fraction : float
        The share to hold out, between 0 and 1; rounded up to whole samples.
    seed : int
        The same seed gives the same split.

    Returns
    -------
    x_train, x_test, y_train, y_test : arrays (copies)

    Raises
    ------
    ValueError
        If `data` and `target` differ in length, or `fraction` leaves one of the two sides empty.

    >>> x_train, x_test, y_train, y_test = holdout(*load_digits(return_X_y=True))
    >>> len(x_train), len(x_test)
    (1437, 360)
    """
    samples = len(data)
    if len(target) != samples:
        raise ValueError(
            f"`data` and `target` should have one entry per sample. Received: {samples} and {len(target)} entries. "
            f"Pass two arrays that were loaded together."
        )
    held_out = math.ceil(samples * fraction) if 0 < fraction < 1 else 0
    if not 0 < held_out < samples:
        raise ValueError(
            f"`fraction` should lie between 0 and 1 and leave samples on both sides. "
            f"Received: fraction={fraction} of {samples} samples. Pass 0.2 to hold out every fifth sample."
        )
    order = np.random.default_rng(seed).permutation(samples)
    test, train = order[:held_out], order[held_out:]
    return data[train], data[test], target[train], target[test]


def _years(yymmdd: NDArray[np.int64]) -> NDArray[np.float64]:
    """960701 -> 1996.5: the calendar year and how much of it has passed; a day counts as 1/31 of 1/12."""
    year, month, day = yymmdd // 10_000, yymmdd // 100 % 100, yymmdd % 100
    return 1900 + year + (month - 1 + (day - 1) / 31) / 12


def _read(name: str) -> str:
    import gzip
    from importlib import resources  # 7 ms that a user of the library without its data need not wait for

    content = (resources.files(__name__) / "data" / name).read_bytes()
    return (gzip.decompress(content) if name.endswith(".gz") else content).decode("utf-8")


def __dir__() -> list[str]:
    return __all__
