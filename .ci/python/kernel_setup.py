"""Installs the kernel of a dpolab binary where only this test's Jupyter sees it."""

import os
import pathlib
import subprocess
import sys
import tempfile

BINARY = None  # of the kernel under test
FOLDER = None  # a tempfile.TemporaryDirectory

def arguments():
    """Takes the binary from the command line, and returns what is left for unittest."""
    global BINARY
    if len(sys.argv) < 2:
        sys.exit("usage: " + sys.argv[0] + " BINARY [unittest arguments]")
    BINARY = pathlib.Path(sys.argv[1]).resolve()
    return [sys.argv[0]] + sys.argv[2:]


def install():
    global FOLDER
    FOLDER = tempfile.TemporaryDirectory()
    root = pathlib.Path(FOLDER.name)
    os.environ["XDG_STATE_HOME"] = str(root / "state")
    os.environ["JUPYTER_RUNTIME_DIR"] = str(root / "runtime")
    subprocess.run([BINARY, "kernel", "install", "--prefix", str(root)], check=True, stdout=subprocess.DEVNULL)
    os.environ["JUPYTER_PATH"] = str(root / "share" / "jupyter")


def remove():
    FOLDER.cleanup()
