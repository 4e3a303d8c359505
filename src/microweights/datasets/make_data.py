"""Make the files in `data/` from public packages.

    pip install rdata scikit-learn
    python make_data.py digits            copies the file out of the installed scikit-learn
    python make_data.py houses            fetches Debian's package r-cran-spdata (needs apt-get and dpkg-deb)
    python make_data.py houses spData/    or reads spData as R or Debian installed it (the folder with data/Rdata.rdb)
    python make_data.py fashion           takes a sample of Debian's package dataset-fashion-mnist, which must be installed
    python make_data.py fashion FOLDER/   or of the four idx files there

Users of the library never need this script.
"""

import argparse
import gzip
import lzma
import struct
import subprocess
import tempfile
import warnings
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from microweights.datasets import load_fashion_mnist

DATA = Path(__file__).parent / "data"
# avalue, the auditor's own appraisal of the price, is left out: it nearly is the answer (R² 0.92).
HOUSE_COLUMNS = (
    *("easting", "northing", "stories", "wall", "garage", "beds", "baths", "halfbaths", "rooms", "TLA"),
    *("garagesqft", "yrbuilt", "frontage", "depth", "lotsize", "sdate", "price"),
)
GRID = 100  # metres. A city block is as much as a price depends on; finer only costs space, and points at a door.


def make_digits() -> None:
    packed = (resources.files("sklearn.datasets.data") / "digits.csv.gz").read_bytes()
    (DATA / "digits.csv.gz").write_bytes(packed)


def make_houses(spdata: Path) -> None:
    house = read_lazy_load(spdata / "data" / "Rdata", "house")
    table = house.data.assign(
        easting=(house.coords.values[:, 0] / GRID).round() * GRID,
        northing=(house.coords.values[:, 1] / GRID).round() * GRID,
    )
    for name in ("easting", "northing", "beds", "baths", "halfbaths"):
        table[name] = table[name].astype("int64")
    text = table.to_csv(columns=list(HOUSE_COLUMNS), index=False, lineterminator="\n")
    (DATA / "houses.csv.gz").write_bytes(gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0))


def make_fashion(folder: Path | None) -> None:
    """The first 100 images of each class to train on and the first 25 to test on, in the order of the source."""
    with lzma.open(DATA / "fashion.idx.xz", "wb", preset=9 | lzma.PRESET_EXTREME) as file:
        for (x, y), each in zip(load_fashion_mnist(folder), (100, 25), strict=True):
            rows = np.sort(np.concatenate([np.flatnonzero(y == label)[:each] for label in range(10)]))
            for array in (x[rows], y[rows]):
                file.write(struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes())


def read_lazy_load(stem: Path, name: str) -> Any:
    """Read one object of an R package's data.

    R keeps the objects compressed in `stem`.rdb, one after the other, and in `stem`.rdx where each begins and how long
    it is. An object is its unpacked size in 4 bytes, then a zlib stream in the format of `saveRDS`.
    """
    import rdata

    index = rdata.conversion.convert(rdata.parser.parse_file(stem.with_suffix(".rdx"), extension=".rds"))
    start, length = index["variables"][name]
    packed = stem.with_suffix(".rdb").read_bytes()[start : start + length]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Missing constructor")  # R's spatial classes: their bare slots will do
        return rdata.conversion.convert(rdata.parser.parse_data(zlib.decompress(packed[4:]), extension=".rds"))


def fetch_spdata(folder: Path) -> Path:
    subprocess.run(["apt-get", "download", "r-cran-spdata"], cwd=folder, check=True)
    (package,) = folder.glob("r-cran-spdata_*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    return folder / "usr/lib/R/site-library/spData"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["digits", "houses", "fashion"])
    parser.add_argument("folder", nargs="?", type=Path, help="of an installed spData, or of the idx files")
    arguments = parser.parse_args()
    if arguments.what == "digits":
        make_digits()
    elif arguments.what == "fashion":
        make_fashion(arguments.folder)
    elif arguments.folder:
        make_houses(arguments.folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            make_houses(fetch_spdata(Path(folder)))


if __name__ == "__main__":
    main()
