"""Data sets of images that people have on disk: MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100, as Keras gives them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import explain

__all__ = ["FASHION", "load_cifar10", "load_cifar100", "load_fashion_mnist", "load_mnist"]

Images = NDArray[np.uint8]
Sets = tuple[tuple[Images, Images], tuple[Images, Images]]
PathLike = str | os.PathLike[str]

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
MOST_BYTES = 1 << 28  # the largest file, of CIFAR-100, has 155 million
PIXELS = 32 * 32 * 3
AGAIN = "It may be cut off, or another file. Get it again."


def load_fashion_mnist(path: PathLike | None = None, *, sample: bool = False) -> Sets:
    """Load images of 28×28 pixels of ten kinds of clothing: 60,000 and 10,000, or the sample that comes with the library.

    Parameters
    ----------
    path : path of a folder, optional
        Where the four idx files are, plain or as .gz. By default where Debian's package dataset-fashion-mnist puts them.
    sample : bool
        Load 1,000 and 250 images instead, the first of each class, which need no other package.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : arrays of uint8
        Images of shape (samples, 28, 28), 0 (black, the ground) to 255, and labels of shape (samples,): 0 T-shirt/top,
        1 Trouser, 2 Pullover, 3 Dress, 4 Coat, 5 Sandal, 6 Shirt, 7 Sneaker, 8 Bag, 9 Ankle boot.

    Raises
    ------
    OSError
        If a file or the folder is not there. Nothing is downloaded, and the sample never stands in for the whole unasked.
    ValueError
        If a file is not whole, or both a folder and the sample are asked for.

    Notes
    -----
    Source: H. Xiao, K. Rasul and R. Vollgraf (2017), Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms, https://github.com/zalandoresearch/fashion-mnist. MIT licence.

    >>> (x_train, y_train), (x_test, y_test) = load_fashion_mnist(sample=True)
    >>> x_train.shape, x_test.shape, x_train.dtype
    ((1000, 28, 28), (250, 28, 28), dtype('uint8'))
    """
    if sample and path is not None:
        raise ValueError(explain("either a folder or the sample", f"path={os.fspath(path)!r}, sample=True", "Leave out one."))
    if sample:
        return _sample()
    if path is None and not DEBIAN.is_dir():
        remedy = (
            "Install Debian's package dataset-fashion-mnist, give the folder of its four files as `path`, or ask for "
            "the 1,000 and 250 images that come with the library: sample=True."
        )
        raise FileNotFoundError(explain(f"Fashion-MNIST in {str(DEBIAN)!r}", "no such folder", remedy))
    return load_mnist(DEBIAN if path is None else path)


def load_mnist(path: PathLike) -> Sets:
    """Load MNIST, or data of its form such as KMNIST: images of 28×28 pixels with labels from 0 to 9.

    Parameters
    ----------
    path : path of a folder
        Where train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte are, plain
        or as .gz; a dot instead of the hyphen before `idx` will do.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : arrays of uint8
        Images of shape (samples, 28, 28) from 0 to 255, and labels of shape (samples,).

    Raises
    ------
    OSError
        If a file or the folder is not there.
    ValueError
        If a file is not whole or of another form, or there are not as many labels as images.
    """
    from ..formats.idx import read_idx_file

    folder = _folder(path)
    train, test = (
        (read_idx_file(_one_of(folder, *_spellings(f"{part}-images-idx3-ubyte")), 28, 28),
         read_idx_file(_one_of(folder, *_spellings(f"{part}-labels-idx1-ubyte"))))
        for part in ("train", "t10k")
    )  # fmt: skip
    return _checked(*train, 10, folder), _checked(*test, 10, folder)


def load_cifar10(path: PathLike) -> Sets:
    """Load CIFAR-10: 50,000 and 10,000 colour images of 32×32 pixels of ten kinds of things.

    Parameters
    ----------
    path : path of a folder
        Where data_batch_1 to data_batch_5 and test_batch are, of the Python version or with .bin of the binary version; or the
        folder in which cifar-10-batches-py or cifar-10-batches-bin is. The files of the Python version are pickles; they are
        read without running anything in them.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : arrays of uint8
        Images of shape (samples, 32, 32, 3) from 0 to 255, and labels of shape (samples, 1), as Keras has them: 0 airplane,
        1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.

    Raises
    ------
    OSError
        If a file or the folder is not there.
    ValueError
        If a file is not whole, or holds anything else.
    """
    batches = tuple(f"data_batch_{i}" for i in range(1, 6))
    return _cifar(path, Form("cifar-10-batches", batches, "test_batch", ("labels",), (10,)), 0)


def load_cifar100(path: PathLike, label_mode: str = "fine") -> Sets:
    """Load CIFAR-100: 50,000 and 10,000 colour images of 32×32 pixels of a hundred kinds of things, in twenty groups.

    Parameters
    ----------
    path : path of a folder
        Where train and test are, or train.bin and test.bin; or the folder in which cifar-100-python or cifar-100-binary is.
        Nothing in the files is run.
    label_mode : "fine" or "coarse"
        Labels from 0 to 99, or of the groups, from 0 to 19.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : arrays of uint8
        Images of shape (samples, 32, 32, 3) from 0 to 255, and labels of shape (samples, 1), as Keras has them.

    Raises
    ------
    OSError
        If a file or the folder is not there.
    ValueError
        If a file is not whole or holds anything else, or for another `label_mode`.
    """
    modes = ("coarse", "fine")
    if label_mode not in modes:
        raise ValueError(explain('`label_mode` "fine" or "coarse"', repr(label_mode), "Choose one of them."))
    form = Form("cifar-100", ("train",), "test", ("coarse_labels", "fine_labels"), (20, 100))
    return _cifar(path, form, modes.index(label_mode))


class Form(NamedTuple):
    """Which files CIFAR-10 or CIFAR-100 has, and what stands before each image."""

    folder: str
    train: tuple[str, ...]
    test: str
    labels: tuple[str, ...]
    classes: tuple[int, ...]


def _cifar(path: PathLike, form: Form, which: int) -> Sets:
    """Images of planes of red, green and blue, with the label of that number."""
    folder = _folder(path)
    below = [folder / f"{form.folder}-{version}" for version in ("bin", "binary", "py", "python")]
    folder = next((place for place in below if place.is_dir()), folder)
    parts = []
    for names in (form.train, (form.test,)):
        batches = [_batch(_one_of(folder, f"{name}.bin", name), form, which) for name in names]
        planes = np.concatenate([images for images, _ in batches]).reshape(-1, 3, 32, 32)
        labels = np.concatenate([labels for _, labels in batches])
        x, y = _checked(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels, form.classes[which], folder)
        parts.append((x, y.reshape(-1, 1)))
    return parts[0], parts[1]


def _batch(path: Path, form: Form, which: int) -> tuple[Images, NDArray[Any]]:
    """A file as arrays of shapes (samples, 3072) and (samples,)."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        remedy = "Give the folder of the files as they are in the archive."
        raise ValueError(explain(f"at most {MOST_BYTES:,} bytes in {str(path)!r}", f"{size:,}", remedy))
    content = path.read_bytes()
    return (_of_binary if path.suffix == ".bin" else _of_python)(content, repr(str(path)), form, which)


def _of_binary(content: bytes, name: str, form: Form, which: int) -> tuple[Images, NDArray[Any]]:
    row = len(form.labels) + PIXELS
    if len(content) % row:
        raise ValueError(explain(f"a whole number of images of {row} bytes at {name}", f"{len(content):,} bytes", AGAIN))
    table = np.frombuffer(content, np.uint8).reshape(-1, row)
    return table[:, len(form.labels) :], table[:, which]


def _of_python(content: bytes, name: str, form: Form, which: int) -> tuple[Images, NDArray[Any]]:
    from ..formats.pickled import plain_data

    found, key = plain_data(content, name), form.labels[which]
    batch: Any = found if isinstance(found, dict) else {}
    images, labels = (batch.get(k, batch.get(k.encode())) for k in ("data", key))  # written by Python 2, or by 3
    is_batch = isinstance(images, np.ndarray) and images.shape[1:] == (PIXELS,) and isinstance(labels, list)
    if not is_batch or not all(type(label) is int and 0 <= label < form.classes[which] for label in labels):
        expected = f"a batch at {name} with `data` of shape (images, {PIXELS}) and a list `{key}` of labels"
        raise ValueError(explain(expected, "something else", AGAIN))
    return images, np.array(labels, np.uint8)


def _sample() -> Sets:
    """The four arrays of the package, one idx file after another."""
    import lzma
    from importlib import resources

    from ..formats.idx import read_idx

    name = "fashion.idx.xz"
    with (resources.files(__package__) / "data" / name).open("rb") as packed, lzma.open(packed) as file:
        x_train, y_train, x_test, y_test = (read_idx(file, name, 1 << 20, *shape) for shape in ((28, 28), ()) * 2)
    return (x_train, y_train), (x_test, y_test)


def _folder(path: PathLike) -> Path:
    folder = Path(path)
    if not folder.exists():
        raise FileNotFoundError(explain("a folder that exists", repr(str(folder)), "Give the folder where the files are."))
    if not folder.is_dir():
        remedy = "Give the folder where the files are; unpack an archive first."
        raise NotADirectoryError(explain("a folder", f"{str(folder)!r}, which is none", remedy))
    return folder


def _spellings(name: str) -> list[str]:
    """`train-images-idx3-ubyte` is `train-images.idx3-ubyte`, too."""
    return [f"{spelling}{ending}" for spelling in (name, name.replace("-idx", ".idx")) for ending in ("", ".gz")]


def _one_of(folder: Path, *names: str) -> Path:
    """The first of these files that is there."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    remedy = "Give the folder where all files of the data set are."
    raise FileNotFoundError(explain(f"one of {', '.join(names)} in {str(folder)!r}", "none of them", remedy))


def _checked(x: Images, y: Images, classes: int, folder: Path) -> tuple[Images, Images]:
    if len(x) != len(y) or not len(x):
        received = f"{len(x):,} images and {len(y):,} labels"
        raise ValueError(explain(f"images in {str(folder)!r}, and a label for each", received, "Get the files again."))
    if y.max() >= classes:
        raise ValueError(explain(f"labels below {classes} in {str(folder)!r}", y.max(), "Get the files again."))
    return x, y
