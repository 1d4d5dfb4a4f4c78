"""How long a cell takes, and a kernel to start: dpolab, ipykernel and GoNB, in turn.

    python bench_notebook.py BINARY [--rounds N]

A cell is timed from execute_request to the status idle, a start from the new
process to the reply to the first kernel_info_request. Rounds go through the
kernels in turn, so that all see the same machine.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from jupyter_client.manager import KernelManager

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNELS = {"dpolab": ("1+1", 200), "python3": ("1+1", 200), "gonb": ("%%\n_ = 1 + 1", 5)}


def install(folder, binary):
    """Makes the kernels known to this process's Jupyter only; returns their names."""
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    os.environ["JUPYTER_PATH"] = str(folder / "share" / "jupyter")
    subprocess.run([binary, "kernel", "install", "--prefix", str(folder)], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([sys.executable, "-m", "ipykernel", "install", "--prefix", str(folder), "--name", "python3"], check=True, capture_output=True)
    tools = subprocess.run(["go", "install", "tool"], cwd=ROOT / "notebooks" / "gonb" / "tools", env=dict(os.environ, GOBIN=str(folder / "bin")))
    if tools.returncode != 0:
        print("GoNB could not be built and is left out", file=sys.stderr)
        return ["dpolab", "python3"]
    spec = folder / "share" / "jupyter" / "kernels" / "gonb"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({
        "argv": ["sh", "-c", f'exec "{folder / "bin" / "gonb"}" --kernel "$0" 2>/dev/null', "{connection_file}"],
        "display_name": "Go (gonb)", "language": "go", "interrupt_mode": "message"}))
    os.environ["PATH"] = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return list(KERNELS)


def cell(client, code):
    began = time.perf_counter()
    sent = client.execute(code)
    while True:
        m = client.get_iopub_msg(timeout=120)
        if m["parent_header"].get("msg_id") == sent and m["msg_type"] == "status" and m["content"]["execution_state"] == "idle":
            took = time.perf_counter() - began
            break
    client.get_shell_msg(timeout=120)
    return took


def measure(name):
    """One kernel's life: the time to start, and those of its cells."""
    code, cells = KERNELS[name]
    manager = KernelManager(kernel_name=name)
    began = time.perf_counter()
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.kernel_info()
    client.get_shell_msg(timeout=120)
    start = time.perf_counter() - began
    client.wait_for_ready(timeout=120)
    cell(client, code)  # the first is not like the others
    times = [cell(client, code) for _ in range(cells)]
    client.stop_channels()
    manager.shutdown_kernel()
    return start, times


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    rounds = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 5
    with tempfile.TemporaryDirectory() as d:
        names = install(pathlib.Path(d), binary)
        starts, times = {n: [] for n in names}, {n: [] for n in names}
        for _ in range(rounds):
            for n in names:
                start, cells = measure(n)
                starts[n].append(start)
                times[n] += cells
    print("| kernel | start, ms (median of %d) | 1+1, ms (median) | 95 %% of cells below, ms |\n|---|---|---|---|" % rounds)
    for n in names:
        ordered = sorted(times[n])
        print(f"| {n} | {statistics.median(starts[n]) * 1e3:.0f} | {statistics.median(ordered) * 1e3:.2f} | {ordered[int(0.95 * (len(ordered) - 1))] * 1e3:.2f} |")


if __name__ == "__main__":
    main()
