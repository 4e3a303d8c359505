"""The command line, in this process and as users run it."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import in_c, running_on

import microweights as mw
from microweights import cli
from microweights.kernels import machine

COMMAND = [sys.executable, "-m", "microweights.cli"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONUNBUFFERED": ""}


@pytest.fixture(autouse=True)
def machine_as_before() -> Iterator[None]:
    """`--backend` and `--threads` stay within the test."""
    with running_on(machine.isa()):
        yield


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["train", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def last_line(text: str) -> str:
    return text.splitlines()[-1]


def accuracy(text: str) -> float:
    match = re.fullmatch(r"test accuracy: ([01]\.\d{3})", last_line(text))
    assert match, text
    return float(match[1])


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=ENVIRONMENT, **options)


def test_digits_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "digits")
    assert accuracy(text) >= 0.97
    for words in (
        "dense_2 (Dense)",
        "6,570 weights",
        "1,437 samples to train on, 360 held out",
        "epoch 30/30",
        "samples per second",
    ):
        assert words in text
    assert re.search(r"s, [\d.]+ s per epoch, 1,350 steps, [\d,.]+ µs per step, [\d,]+ samples per second\n", text)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_digits_with_other_seeds(capsys: pytest.CaptureFixture[str], seed: str) -> None:
    assert accuracy(output(capsys, "digits", "--seed", seed)) >= 0.96


def test_houses(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "houses", "--epochs", "3", "--batch-size", "128")
    match = re.fullmatch(r"test R2: (0\.\d\d)", last_line(text))
    assert match and float(match[1]) > 0.6


@in_c
def test_fashion(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "fashion", "--epochs", "12", "--threads", "1")
    assert accuracy(text) >= 0.8
    for words in ("conv2d_2 (Conv2D)", "1,000 samples to train on, 250 held out", " s per epoch, 384 steps, ", "9 Ankle boot "):
        assert words in text
    table = [line[14:].split() for line in text.splitlines() if re.match(r"\d [A-Z]", line)]
    counts = [[int(cell) for cell in row] for row in table]
    assert len(counts) == 10 and all(sum(row) == 25 for row in counts)
    assert accuracy(text) == round(sum(counts[i][i] for i in range(10)) / 250, 3)


def test_fashion_of_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (x, y), _ = mw.datasets.load_fashion_mnist(sample=True)
    for part, rows in (("train", slice(64)), ("t10k", slice(64, 96))):
        for kind, array in (("images", x[rows]), ("labels", y[rows])):
            head = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
            (tmp_path / f"{part}-{kind}-idx{array.ndim}-ubyte").write_bytes(head + array.tobytes())
    text = output(capsys, "fashion", "--full", str(tmp_path), "--epochs", "1", "--hidden", "20")
    assert "64 samples to train on, 32 held out" in text and " 1 steps, " in text and "dense_1 (Dense)" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digits", "--full"], "Expected --full with fashion. Received: digits. Leave it out"),
        (["fashion", "--full", "/nowhere"], "Expected a folder that exists. Received: '/nowhere'"),
    ],
)
def test_full_explains_itself(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert cli.main(["train", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("hidden", [("none", 650), ("10", 760), ("16,8,4", 1040 + 136 + 36 + 50)])
def test_hidden(capsys: pytest.CaptureFixture[str], hidden: tuple[str, int]) -> None:
    text = output(capsys, "digits", "--epochs", "1", "--hidden", hidden[0])
    assert f"{hidden[1]:,} weights" in text and accuracy(text) < 0.97


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_optimizers(capsys: pytest.CaptureFixture[str], optimizer: str) -> None:
    rate = "0.1" if optimizer in ("sgd", "adagrad") else "0.01"
    text = output(capsys, "digits", "--epochs", "4", "--optimizer", optimizer, "--learning-rate", rate)
    assert accuracy(text) > 0.8


def losses(text: str) -> list[str]:
    return re.findall(r"loss: [\d.]+", text)


def test_the_same_seed_gives_the_same_run(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        output(capsys, "digits", "--epochs", "2", "--seed", s, "--threads", t) for s, t in (("1", "1"), ("1", "2"), ("2", "1"))
    ]
    assert losses(runs[0]) == losses(runs[1]) != losses(runs[2]) and len(losses(runs[0])) == 2
    assert last_line(runs[0]) == last_line(runs[1])
    assert "2 threads" in runs[1] or machine.lib is None


def test_backends_agree(capsys: pytest.CaptureFixture[str]) -> None:
    numpy = output(capsys, "digits", "--epochs", "2", "--backend", "numpy")
    assert ", numpy, " in numpy
    if machine.lib is not None:
        c = output(capsys, "digits", "--epochs", "2", "--backend", "c")
        assert ", numpy, " not in c and abs(accuracy(c) - accuracy(numpy)) < 0.01


def test_batch_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert " 1 steps, " in output(capsys, "digits", "--epochs", "1", "--batch-size", "99999999999999999999999")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--epochs", "0"], "--epochs: expected an integer not below 1, received '0'"),
        (["--epochs", "two"], "--epochs: expected an integer not below 1, received 'two'"),
        (["--epochs", "1.5"], "--epochs"),
        (["--epochs"], "--epochs: expected one argument"),
        (["--epochs", "²"], "--epochs"),
        (["--batch-size", "-4"], "--batch-size"),
        (["--batch-size", "1e3"], "--batch-size: expected an integer not below 1, received '1e3'"),
        (["--hidden", "64,"], "--hidden: expected integers from 1 to 1,000,000 with commas, such as 64,32, received '64,'"),
        (["--hidden", "0"], "--hidden"),
        (["--optimizer", "foo"], "invalid choice: 'foo' (choose from"),
        (["--learning-rate", "fast"], "--learning-rate: expected a positive number, received 'fast'"),
        (["--learning-rate", "nan"], "--learning-rate"),
        (["--learning-rate", "0"], "--learning-rate"),
        (["--seed", "-1"], "--seed"),
        (["--threads", "0"], "--threads"),
        (["--threads", "5000"], "Received: 5000. Give the number of cores to use."),
        (["--backend", "gpu"], "invalid choice: 'gpu'"),
        (["--epoch-count", "3"], "unrecognized arguments: --epoch-count"),
    ],
    ids=lambda a: " ".join(a) if isinstance(a, list) else "",
)
def test_wrong_options_explain_themselves(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    try:
        status: Any = cli.main(["train", "digits", *arguments])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    assert status == 2 and words in captured.err and "Traceback" not in captured.err


@pytest.mark.parametrize("arguments", [[], ["train"], ["train", "cats"], ["trane"]])
def test_wrong_commands_explain_themselves(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2 and "usage: microweights" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--seed", str(2**64)], ["--hidden", "100000000000000"]])
def test_numbers_too_large_explain_themselves(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    try:
        status: Any = cli.main(["train", "digits", *arguments])
    except SystemExit as stop:
        status = stop.code
    assert status == 2 and capsys.readouterr().err


def test_divergence_is_an_error_with_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "digits", "--learning-rate", "1e30"]) == 1
    assert "Expected a finite loss" in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    for option in ("--epochs", "--batch-size", "--hidden", "--optimizer", "--seed", "--backend", "--threads", "--full"):
        assert option in text


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    for words in (mw.__version__, "backend", "instruction set", "threads", "compiler"):
        assert words in text


# ---- as users run it -------------------------------------------------------------------------------------------------


def test_in_a_pipe_without_a_terminal() -> None:
    done = run("train", "digits", "--epochs", "2", stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and done.stderr == ""
    accuracy(done.stdout)
    assert "\r" not in done.stdout and "\x1b" not in done.stdout and len(re.findall("^epoch", done.stdout, re.M)) == 2


def test_in_a_terminal_of_plain_ascii() -> None:
    """µ and the like must not break a terminal that cannot show them."""
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run([*COMMAND, "train", "digits", "--epochs", "1"], capture_output=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("arguments", [
    ["info"],
    ["train", "digits", "--epochs", "20"],
])  # fmt: skip
def test_a_reader_that_goes_away(arguments: list[str]) -> None:
    """As in `microweights info | head -0`."""
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) == 0 and errors == ""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_ctrl_c_stops_with_what_it_has() -> None:
    process = subprocess.Popen(
        [*COMMAND, "train", "digits", "--epochs", "1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs are started without it
    )
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line.startswith("epoch 3/"):
            process.send_signal(signal.SIGINT)
            break
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and errors == ""
    assert "stopped; this is what it has learned so far" in rest
    assert accuracy(rest) > 0.2


def test_an_unknown_backend_in_the_environment() -> None:
    done = subprocess.run(
        [*COMMAND, "info"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**ENVIRONMENT, "MICROWEIGHTS_BACKEND": "gpu"},
    )
    assert done.returncode != 0 and "Expected a backend out of ('c', 'numpy'). Received: 'gpu'" in done.stderr
