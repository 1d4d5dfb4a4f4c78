"""Executes the example notebooks in the kernel of a dpolab binary.

    run_notebooks.py BINARY [--write] [NOTEBOOK...]

Fails with the first cell that does. With --write the outputs are saved.
"""

import pathlib
import sys
import tempfile
import time

import nbclient
import nbformat

import kernel_setup

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "notebooks" / "examples"


def execute(path, write):
    nb = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:  # what a notebook writes goes with it
        client = nbclient.NotebookClient(nb, kernel_name="dpolab", timeout=300, resources={"metadata": {"path": folder}})
        client.execute()
    code = [c for c in nb.cells if c.cell_type == "code"]
    outputs = [o for c in code for o in c.outputs]
    if not outputs:
        sys.exit(f"{path.name}: nothing was shown")
    if any(o.output_type == "stream" and o.name == "stderr" for o in outputs):
        sys.exit(f"{path.name}: writes to stderr: " + "".join(o.text for o in outputs if o.output_type == "stream"))
    for o in outputs:
        if o.output_type in ("display_data", "execute_result") and "text/plain" not in o.data:
            sys.exit(f"{path.name}: a display without text")
    if write:
        for c in nb.cells:
            c.metadata.pop("execution", None)  # times of day
        path.write_text(nbformat.writes(nb, ensure_ascii=False) + "\n")
    return len(code)


def main():
    words = kernel_setup.arguments()[1:]
    write = "--write" in words
    paths = [pathlib.Path(w) for w in words if w != "--write"] or sorted(EXAMPLES.glob("*.ipynb"))
    kernel_setup.install()
    try:
        for path in paths:
            start = time.time()
            cells = execute(path, write)
            print(f"{path.name}: {cells} cells in {time.time() - start:.1f} s", flush=True)
    finally:
        kernel_setup.remove()


if __name__ == "__main__":
    main()
