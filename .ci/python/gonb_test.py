"""Runs notebooks/gonb/quickstart.ipynb, and cells that end badly, in a real GoNB
kernel, whose version notebooks/gonb/tools pins.

    python gonb_test.py            the tests
    python gonb_test.py --write    also puts the outputs into the notebook
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks" / "gonb"
NOTEBOOK = FOLDER / "quickstart.ipynb"
WRITE = "--write" in sys.argv

ATTACH = """import (
	"fmt"

	"dpolab/stdlib/dpo"
)

func attach() (*dpo.NamedSession, *dpo.Trainer) {
	demo := dpo.Demo()
	session := dpo.Session("test")
	policy := session.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
	cfg := dpo.DefaultTrainConfig()
	cfg.BatchSize, cfg.Optimizer, cfg.LR, cfg.WarmupSteps, cfg.Epochs = 8, "AdamW", 1e-4, 0, 100
	return session, dpo.NewTrainer(policy, nil, demo.Train, nil, cfg)
}"""

# The quick start in one compiled program, without a session.
STRAIGHT = """package main

import (
	"fmt"

	"dpolab/stdlib/dpo"
)

func main() {
	defer dpo.Finish()
	demo := dpo.Demo()
	cfg := dpo.DefaultTrainConfig()
	cfg.BatchSize, cfg.Optimizer, cfg.LR, cfg.WarmupSteps = 8, "AdamW", 1e-4, 0
	trainer := dpo.NewTrainer(dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig()), nil, demo.Train, demo.Test.Slice(0, 8), cfg)
	trainer.Steps(10)
	trainer.SetMixedPrecision(dpo.BFloat16Mixed())
	fmt.Println("loss after 20 steps:", trainer.Steps(10)["loss/train"])
}
"""


def setUpModule():
    global scratch
    scratch = tempfile.TemporaryDirectory(prefix="dpolab-gonb-")
    tmp = pathlib.Path(scratch.name)
    subprocess.run(["go", "install", "tool"], cwd=FOLDER / "tools", env=dict(os.environ, GOBIN=str(tmp / "bin")), check=True)
    spec = tmp / "jupyter" / "kernels" / "gonb"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({
        # The kernel's log is loud and says nothing that a failing test does not.
        "argv": ["sh", "-c", f'exec "{tmp / "bin" / "gonb"}" --kernel "$0" 2>/dev/null', "{connection_file}"],
        "display_name": "Go (gonb)", "language": "go", "interrupt_mode": "message"}))
    os.environ["PATH"] = f"{tmp / 'bin'}{os.pathsep}{os.environ['PATH']}"
    os.environ["JUPYTER_PATH"] = str(tmp / "jupyter")
    os.environ["XDG_STATE_HOME"] = str(tmp / "state")


def tearDownModule():
    scratch.cleanup()


def text(cell):
    return "".join(o.get("text", "") for o in cell.outputs)


class QuickStart(unittest.TestCase):
    def test_runs(self):
        nb = nbformat.read(NOTEBOOK, as_version=4)
        NotebookClient(nb, timeout=300, kernel_name="gonb", resources={"metadata": {"path": str(FOLDER)}}).execute()
        cells = [c for c in nb.cells if c.cell_type == "code"]
        for c in cells:
            for o in c.outputs:
                self.assertNotEqual(o.output_type, "error", c.source)
        shown = [o.data for c in cells for o in c.outputs if o.output_type == "display_data"]
        self.assertEqual(2, sum("image/svg+xml" in d and not d["text/plain"].startswith("training") for d in shown), "figures")
        self.assertEqual(2, sum("training" in d.get("text/plain", "") for d in shown), "progress, one display a run")
        said = "\n".join(text(c) for c in cells)
        self.assertIn("80 pairs, 10 updates, param=float32", said)
        self.assertIn("160 pairs, 20 updates, param=bfloat16", said)

        with tempfile.TemporaryDirectory() as d:
            program = pathlib.Path(d) / "straight.go"
            program.write_text(STRAIGHT)
            out = subprocess.run(["go", "run", str(program)], cwd=ROOT, capture_output=True, text=True)
        self.assertEqual(0, out.returncode, out.stderr)
        self.assertIn("loss after 20 steps", out.stdout)
        self.assertIn(out.stdout.strip(), said, "cells and one program give other numbers")
        if WRITE:
            for c in nb.cells:
                c.metadata.pop("execution", None)
                for o in c.get("outputs", []):
                    o.pop("transient", None)
            nbformat.write(nb, NOTEBOOK)


class BadEnds(unittest.TestCase):
    def setUp(self):
        self.km = KernelManager(kernel_name="gonb")
        self.km.start_kernel(cwd=str(FOLDER))
        self.kc = self.km.client()
        self.kc.start_channels()
        self.kc.wait_for_ready(timeout=60)
        self.run_cell('!*go work init && go work use . "$GONB_DIR/../.."')
        self.run_cell(ATTACH)

    def tearDown(self):
        self.run_cell('%%\ndpo.RemoveSession("test")')
        self.kc.stop_channels()
        self.km.shutdown_kernel(now=True)

    def run_cell(self, code, while_running=None):
        """Returns what the cell wrote and whether it failed. while_running is
        called once, when the first progress is shown."""
        sent = self.kc.execute(code)
        said, failed = "", False
        while True:
            m = self.kc.get_iopub_msg(timeout=300)
            if m["parent_header"].get("msg_id") != sent:
                continue
            kind, content = m["msg_type"], m["content"]
            if kind == "stream":
                said += content["text"]
            elif kind == "error":
                failed = True
            elif kind == "display_data" and while_running:
                time.sleep(0.3)
                while_running()
                while_running = None
            elif kind == "status" and content["execution_state"] == "idle":
                return said, failed

    def updates(self):
        said, failed = self.run_cell('%%\ndefer dpo.Finish()\ns, tr := attach()\nfmt.Println("at", s.Updates(), tr.History().Len())')
        self.assertFalse(failed, said)
        at, records = map(int, re.search(r"at (\d+) (\d+)", said).groups())
        self.assertEqual(at, records, "history and updates")
        return at

    def test_interrupt(self):
        said, _ = self.run_cell("%%\ndefer dpo.Finish()\n_, tr := attach()\ntr.Run()", self.km.interrupt_kernel)
        at = self.updates()
        self.assertGreater(at, 0)
        said, failed = self.run_cell("%%\ndefer dpo.Finish()\n_, tr := attach()\ntr.Step()")
        self.assertFalse(failed, said)
        self.assertEqual(at + 1, self.updates())

    def test_kill(self):
        def kill():
            kernel = self.km.provisioner.pid
            children = pathlib.Path(f"/proc/{kernel}/task").glob("*/children")
            for pid in " ".join(c.read_text() for c in children).split():
                os.kill(int(pid), signal.SIGKILL)
        said, failed = self.run_cell("%%\ndefer dpo.Finish()\n_, tr := attach()\ntr.Run()", kill)
        self.assertTrue(failed, said)
        at = self.updates()
        self.assertGreater(at, 0)
        said, failed = self.run_cell("%%\ndefer dpo.Finish()\n_, tr := attach()\ntr.Step()")
        self.assertFalse(failed, said)
        self.assertEqual(at + 1, self.updates())

    def test_error_is_one_line(self):
        said, failed = self.run_cell('%%\ndefer dpo.Finish()\ndpo.LoadModel("/nothing")')
        self.assertTrue(failed)
        self.assertIn("dpo.LoadModel: models: /nothing is not a model directory", said)
        self.assertNotIn("goroutine", said)


if __name__ == "__main__":
    unittest.main(argv=[a for a in sys.argv if a != "--write"], verbosity=2)
