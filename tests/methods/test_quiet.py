"""What a solver prints never reaches standard output."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from tradewind.methods.quiet import quiet

SAID = b"said by compiled code"


def test_what_compiled_code_prints_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    code = ctypes.CDLL(None)
    os.write(1, b"before ")
    with quiet():
        code.printf(SAID)  # kept by the C library until it is flushed
    os.write(1, b"after")
    found = capfd.readouterr()
    assert found.out == "before after"
    assert found.err == SAID.decode()


def test_an_error_leaves_standard_output_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        with quiet():
            ctypes.CDLL(None).printf(SAID)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails()
    os.write(1, b"after")
    assert capfd.readouterr() == ("after", SAID.decode())


def test_without_standard_output_nothing_fails() -> None:
    code = "import os; os.close(1)\nfrom tradewind.methods.quiet import quiet\nwith quiet(): pass"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
