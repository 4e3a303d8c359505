"""What a training shows."""

from __future__ import annotations

import re

import pytest
from helpers import LABELS, X, classifier

import microweights as mw

layers = mw.layers


def test_verbose_2_is_a_line_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(X, LABELS, epochs=2, verbose=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"epoch 2/2 .* s  loss: [\d.]+  accuracy: [\d.]+  val_loss: [\d.]+  val_accuracy: [\d.]+", lines[1])


def test_verbose_0_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier()
    model.fit(X, LABELS, verbose=0)
    model.evaluate(X, LABELS)
    model.predict(X)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_verbose_1_is_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(X, LABELS, epochs=3, batch_size=10, verbose=1)
    captured = capsys.readouterr()
    assert "epoch 1/3" in captured.err and "%|" in captured.err
    assert re.fullmatch(
        r"epoch 3/3 .* s  loss: [\d.]+  accuracy: [\d.]+\n", captured.out
    )  # in full, whatever the terminal's width


def test_without_a_terminal_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(X, LABELS)
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out.startswith("epoch 1/1")
