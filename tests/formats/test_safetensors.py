"""Weights in files: whole or not at all, and clear words about files that are something else."""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights.formats.safetensors import load_arrays, save_arrays


def model(units: int = 3, value: float | None = None) -> mw.Sequential:
    made = mw.Sequential([mw.Input((4,)), mw.layers.Dense(units, "relu"), mw.layers.Dense(1)])
    if value is not None:
        made.set_weights([np.full_like(w, value) for w in made.get_weights()])
    return made


def unchanged(m: mw.Sequential, value: float) -> bool:
    return all((w == value).all() for w in m.get_weights())


def bits(m: mw.Sequential) -> list[bytes]:
    return [w.tobytes() for w in m.get_weights()]


@pytest.mark.parametrize("as_path", [str, Path])
def test_weights_come_back_bit_by_bit(tmp_path: Path, as_path: Any) -> None:
    path = as_path(tmp_path / "weights.safetensors")
    one, two = model(), model()
    assert bits(one) != bits(two)
    one.save_weights(path)
    two.load_weights(path)
    assert bits(one) == bits(two)
    assert os.listdir(tmp_path) == ["weights.safetensors"]


def test_the_file_is_readable_by_others(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    path = tmp_path / "weights.safetensors"
    umask = os.umask(0o022)
    try:
        model(value=2.0).save_weights(path)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    arrays = load_file(path)
    assert {name: a.shape for name, a in arrays.items()} == {
        "dense.kernel": (4, 3), "dense.bias": (3,), "dense_1.kernel": (3, 1), "dense_1.bias": (1,)
    }  # fmt: skip
    assert all((a == 2).all() for a in arrays.values())


def test_arrays_of_every_layout(tmp_path: Path) -> None:
    a = np.arange(12.0).reshape(3, 4)
    arrays = {"fortran": np.asfortranarray(a), "view": a[:, ::2], "scalar": np.array(3.0), "none": np.zeros((0, 3)),
              "f32": a.astype("f"), "reversed": a[::-1]}  # fmt: skip
    save_arrays(tmp_path / "f", arrays)
    back = load_arrays(tmp_path / "f")
    assert set(back) == set(arrays)
    for name, expected in arrays.items():
        assert back[name].dtype == expected.dtype
        np.testing.assert_array_equal(back[name], expected, strict=True)


def test_a_float64_model_saves_float64(tmp_path: Path) -> None:
    one, two = (mw.Sequential([mw.Input((2,), dtype="float64"), mw.layers.Dense(2, dtype="float64")]) for _ in range(2))
    one.save_weights(tmp_path / "f")
    two.load_weights(tmp_path / "f")
    assert bits(one) == bits(two)
    narrow = mw.Sequential([mw.Input((2,)), mw.layers.Dense(2)])
    narrow.load_weights(tmp_path / "f")
    np.testing.assert_array_equal(narrow.get_weights()[0], one.get_weights()[0].astype("float32"))


# ---- files that do not fit -------------------------------------------------------------------------------------------


def header(**entries: Any) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
NOT_SAFETENSORS = {
    "empty": b"",
    "text": b"hello, world",
    "seven bytes": b"\0" * 7,
    "zeros": b"\0" * 100,
    "huge header": b"\xff" * 100,
    "hdf5": b"\x89HDF\r\n\x1a\n" + b"\0" * 100,
    "zip": b"PK\x03\x04" + b"\0" * 100,
    "pickle": b"\x80\x04\x95" + b"\0" * 50,
    "numpy": b"\x93NUMPY\x01\0" + b"\0" * 100,
    "no json": struct.pack("<Q", 4) + b"{{{{",
    "outside": header(a={**ENTRY, "data_offsets": [0, 800]}) + b"\0" * 8,
    "overlap": header(a=ENTRY, b=ENTRY) + b"\0" * 8,
    "backward": header(a={**ENTRY, "data_offsets": [8, 0]}) + b"\0" * 8,
    "wrong size": header(a={**ENTRY, "shape": [3]}) + b"\0" * 8,
    "negative": header(a={**ENTRY, "shape": [-2]}) + b"\0" * 8,
    "overflow": header(a={**ENTRY, "shape": [2**62, 4]}) + b"\0" * 8,
    "type": header(a={**ENTRY, "dtype": "F99"}) + b"\0" * 8,
    "trailing": header(a=ENTRY) + b"\0" * 16,
}


@pytest.mark.parametrize("kind", NOT_SAFETENSORS)
def test_files_that_are_no_safetensors(tmp_path: Path, kind: str) -> None:
    path, m = tmp_path / "weights", model(value=1.0)
    path.write_bytes(NOT_SAFETENSORS[kind])
    with pytest.raises(ValueError, match=r"Expected a whole safetensors file at .*weights.* Save the weights again"):
        m.load_weights(path)
    assert unchanged(m, 1.0)


def test_truncated_at_every_place(tmp_path: Path) -> None:
    path, m = tmp_path / "weights", model(value=1.0)
    model(value=2.0).save_weights(path)
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match="a whole safetensors file"):
            m.load_weights(path)
    assert unchanged(m, 1.0)


def test_types_that_a_model_has_not(tmp_path: Path) -> None:
    m = mw.Sequential([mw.Input((2,)), mw.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    path = tmp_path / "weights"
    for dtype, size in (("BF16", 4), ("F8_E4M3", 2), ("C64", 16)):
        path.write_bytes(
            header(**{"dense.kernel": {"dtype": dtype, "shape": [2, 1], "data_offsets": [0, size]}}) + b"\0" * size
        )
        with pytest.raises((ValueError, TypeError), match="Expected"):
            m.load_weights(path)
    assert (m.get_weights()[0] == 1).all()
    path.write_bytes(header(**{"dense.kernel": {"dtype": "F16", "shape": [2, 1], "data_offsets": [0, 4]}}) + b"\0\x3c\0\x40")
    m.load_weights(path)
    assert m.get_weights()[0].tolist() == [[1.0], [2.0]]


def test_another_shape_changes_nothing(tmp_path: Path) -> None:
    m = model(3, value=1.0)
    model(5, value=2.0).save_weights(tmp_path / "f")
    with pytest.raises(ValueError, match=r"shape \(4, 3\) for 'dense.kernel'. Received: \(4, 5\)"):
        m.load_weights(tmp_path / "f")
    assert unchanged(m, 1.0)


def test_another_model_changes_nothing(tmp_path: Path) -> None:
    m = model(3, value=1.0)
    mw.Sequential([mw.Input((4,)), mw.layers.Dense(3), mw.layers.Dense(1, use_bias=False)]).save_weights(tmp_path / "f")
    with pytest.raises(ValueError, match=r"missing \['dense_1.bias'\], unknown \[\]"):
        m.load_weights(tmp_path / "f")
    assert unchanged(m, 1.0)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        model().load_weights(tmp_path / "nowhere")
    with pytest.raises(OSError, match="nowhere"):
        model().save_weights(tmp_path / "nowhere" / "f")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    for act in (model().save_weights, model().load_weights):
        with pytest.raises(OSError):
            act(tmp_path)
    assert os.listdir(tmp_path) == [] and os.listdir(tmp_path.parent) != []
    assert not [name for name in os.listdir(tmp_path.parent) if name.startswith(f".{tmp_path.name}")]


def test_a_model_without_weights(tmp_path: Path) -> None:
    unbuilt = mw.Sequential([mw.layers.Dense(1)])
    model().save_weights(tmp_path / "f")
    with pytest.raises(ValueError, match="a model with weights"):
        unbuilt.save_weights(tmp_path / "g")
    with pytest.raises(ValueError, match=r"unknown \['dense\.bias'.*call it once before"):
        unbuilt.load_weights(tmp_path / "f")
    assert unbuilt.weights == [] and not unbuilt.layers[0].built


# ---- a full disk -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["fsync", "replace", "fdopen", "dup", "link"])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "weights"
    model(value=1.0).save_weights(path)
    before = path.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space left"):
            model(value=2.0).save_weights(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["weights"]


def test_ctrl_c_while_saving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model().save_weights(path)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits on file sizes are POSIX's")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """The kernel itself refuses the second half of the file."""
    script = textwrap.dedent("""
        import os, resource, signal, sys
        import microweights as mw
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        m = mw.Sequential([mw.Input((100,)), mw.layers.Dense(100)])
        m.save_weights("weights")
        before = open("weights", "rb").read()
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        m.set_weights([w + 1 for w in m.get_weights()])
        try:
            m.save_weights("weights")
        except OSError as error:
            assert error.errno == 27, error
            assert open("weights", "rb").read() == before and os.listdir(".") == ["weights"], os.listdir(".")
            sys.exit(7)
    """)
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 7, run.stderr


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"Expected a path in a folder that exists\. Received: '.*nodir.a\.safetensors'"
    ):
        model().save_weights(tmp_path / "nodir" / "a.safetensors")


# ---- killed ------------------------------------------------------------------------------------------------------------

KILLED = """
    import os, random, signal, sys, time
    import numpy as np
    from microweights.formats.safetensors import load_arrays, save_arrays

    def in_a_child(act):
        child = os.fork()
        if child == 0:
            try:
                act()
            finally:
                os._exit(0)
        return child

    def killed_before(call, count):
        def act():
            real, left = getattr(os, call), [count]
            def stop(*given, **named):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*given, **named)
            setattr(os, call, stop)
            save_arrays("weights", {"a": np.full(1000, 2.0)})
        return in_a_child(act)

    def value():
        return float(load_arrays("weights")["a"][0])

    if sys.argv[1] == "named":
        del os.O_TMPFILE
    save_arrays("weights", {"a": np.full(1000, 1.0)})
"""


def killing(tmp_path: Path, way: str, script: str) -> None:
    text = textwrap.dedent(KILLED) + textwrap.dedent(script)
    run = subprocess.run([sys.executable, "-c", text, way], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("way", ["unnamed", "named"])
def test_killed_at_each_call(tmp_path: Path, way: str) -> None:
    """The old file is whole, and the next save leaves nothing of the killed one."""
    killing(tmp_path, way, """
        for call in ("open", "dup", "fdopen", "fsync", "link", "replace", "close", "listdir"):
            for count in range(2):
                _, status = os.waitpid(killed_before(call, count), 0)
                left = [name for name in os.listdir() if name != "weights"]
                assert value() in (1.0, 2.0) and len(left) <= 1
                if sys.argv[1] == "unnamed" and hasattr(os, "O_TMPFILE"):
                    assert not left or call == "replace", (call, left)
                save_arrays("weights", {"a": np.full(1000, 1.0)})
                assert os.listdir() == ["weights"], (call, os.listdir())
    """)  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_time(tmp_path: Path) -> None:
    """Sixty times: every time there is one whole file and no other, or the next save clears it."""
    killing(tmp_path, "unnamed", """
        def save_on():
            n = 0.0
            while True:
                save_arrays("weights", {"a": np.full(50_000, n := n + 1)})
        for i in range(60):
            child = in_a_child(save_on)
            time.sleep(random.Random(i).uniform(0.001, 0.015))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            value()
        save_arrays("weights", {"a": np.full(3, 1.0)})
        assert os.listdir() == ["weights"], os.listdir()
    """)  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_is_being_written_is_left_alone(tmp_path: Path) -> None:
    """Two processes save into one folder, with named files; neither takes the other's for a leftover."""
    killing(tmp_path, "named", """
        def save_on(name):
            for i in range(40):
                save_arrays(name, {"a": np.full(1000, float(i))})
            os.rename(name, name + " is done")
        children = [in_a_child(lambda name=name: save_on(name)) for name in ("one", "two")]
        for child in children:
            os.waitpid(child, 0)
        assert sorted(os.listdir()) == ["one is done", "two is done", "weights"], os.listdir()
    """)  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "symlink") or not hasattr(os, "fork"), reason="POSIX")
def test_links_stay_and_point_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "weights")
    for value in (1.0, 2.0):
        save_arrays(tmp_path / "link", {"a": np.full(3, value)})
        assert (tmp_path / "link").is_symlink() and load_arrays(tmp_path / "there" / "weights")["a"][0] == value
    assert os.listdir(tmp_path / "there") == ["weights"]


def test_a_file_system_without_unnamed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: Any, flags: int, *mode: int) -> int:
        if hasattr(os, "O_TMPFILE") and flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", refuse)
    for value in (1.0, 2.0):
        model(value=value).save_weights(tmp_path / "weights")
    assert os.listdir(tmp_path) == ["weights"] and (load_arrays(tmp_path / "weights")["dense.bias"] == 2).all()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may write anywhere")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            model().save_weights(tmp_path / "weights")
    finally:
        tmp_path.chmod(0o700)
    assert os.listdir(tmp_path) == []
