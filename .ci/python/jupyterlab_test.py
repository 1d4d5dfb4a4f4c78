"""A notebook in JupyterLab, in a browser: what the kernel's own tests cannot see.

    python jupyterlab_test.py BINARY [unittest arguments]

Pictures of the pages go to bin/jupyterlab, to be looked at. The browser is
Debian's chromium, or what CHROMIUM names.
"""

import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import nbformat
from playwright.sync_api import expect, sync_playwright

import kernel_setup
from kernel_setup import install as setUpModule, remove as tearDownModule  # which unittest calls

ROOT = pathlib.Path(__file__).resolve().parents[2]
PICTURES = ROOT / "bin" / "jupyterlab"
MINUTE = 60_000

TRAINING = """import "dpolab/stdlib/dpo"
demo := dpo.Demo()
policy := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
cfg := dpo.DefaultTrainConfig()
cfg.BatchSize, cfg.Optimizer, cfg.LR, cfg.WarmupSteps, cfg.Epochs = 8, "AdamW", 1e-4, 0, 1000
tr := dpo.NewTrainer(policy, nil, demo.Train, nil, cfg)"""


class Lab(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        settings = pathlib.Path(cls.folder.name, ".config", "labconfig")
        settings.mkdir(parents=True)
        (settings / "default_setting_overrides.json").write_text(json.dumps({
            "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
            "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}}))
        cls.token = secrets.token_hex()
        cls.url = f"http://127.0.0.1:{port}"
        cls.server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
             f"--ServerApp.root_dir={cls.folder.name}"] + (["--allow-root"] if os.geteuid() == 0 else []),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "JUPYTER_TOKEN": cls.token, "JUPYTER_CONFIG_DIR": cls.folder.name + "/.config", "JUPYTER_DATA_DIR": cls.folder.name + "/.data"})
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.terminate)
        deadline = time.time() + 60
        while True:
            try:
                urllib.request.urlopen(cls.url + "/api").close()
                break
            except OSError:
                if time.time() > deadline or cls.server.poll() is not None:
                    raise
                time.sleep(0.1)
        cls.playwright = cls.enterClassContext(sync_playwright())
        browser = os.environ.get("CHROMIUM") or shutil.which("chromium")
        if not browser:
            raise FileNotFoundError("no chromium on the path, and CHROMIUM names none")
        cls.browser = cls.enterClassContext(cls.playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]))
        PICTURES.mkdir(parents=True, exist_ok=True)

    def open(self, name, notebook):
        """Shows a notebook once its kernel is ready."""
        nbformat.write(notebook, pathlib.Path(self.folder.name) / name)
        page = self.enterContext(self.browser.new_page(viewport={"width": 1200, "height": 1600}))
        page.set_default_timeout(MINUTE)
        page.goto(f"{self.url}/lab/tree/{name}?reset&token={self.token}")
        self.idle(page)
        return page

    def idle(self, page):
        expect(page.get_by_role("button", name="Go (dpolab) | Idle")).to_be_visible(timeout=2 * MINUTE)

    def picture(self, page, name):
        page.screenshot(path=PICTURES / f"{name}.png")

    def test_quick_start(self):
        notebook = nbformat.read(ROOT / "notebooks" / "examples" / "1-quick-start.ipynb", as_version=4)
        code = [c for c in notebook.cells if c.cell_type == "code"]
        for cell in code:
            cell.outputs, cell.execution_count = [], None
        page = self.open("quick-start.ipynb", notebook)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        for i in range(len(code)):
            expect(page.get_by_text(f"[{i + 1}]:", exact=True).first).to_be_attached(timeout=2 * MINUTE)
        self.idle(page)
        self.assertEqual(0, page.locator("[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']").count())
        pictures = page.locator(".jp-OutputArea-output img, .jp-OutputArea-output svg")
        self.assertGreater(pictures.count(), 2)
        for i in range(pictures.count()):
            pictures.nth(i).scroll_into_view_if_needed()
            self.picture(page, f"quick-start-{i}")

    def test_while_training(self):
        """The chart moves, Tab and Shift-Tab answer, the stop button stops, and what was trained is there."""
        cell = nbformat.v4.new_code_cell
        page = self.open("training.ipynb", nbformat.v4.new_notebook(cells=[cell(TRAINING), cell("tr.Steps(100000)"), cell("")],
                         metadata={"kernelspec": {"name": "dpolab", "display_name": "Go (dpolab)", "language": "go"}}))
        cells = page.locator(".jp-Notebook .jp-CodeCell")
        editor = cells.nth(2).locator(".cm-content")
        cells.nth(0).locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        page.keyboard.press("Shift+Enter")
        chart = cells.nth(1).locator(".jp-OutputArea-output img")
        expect(chart).to_be_visible()
        first = chart.get_attribute("src")
        expect(chart).not_to_have_attribute("src", first)

        editor.click()
        page.keyboard.type("strings.HasP")
        page.keyboard.press("Tab")
        expect(page.locator(".jp-Completer-item")).to_contain_text("HasPrefix")
        page.keyboard.press("Enter")
        expect(editor).to_have_text("strings.HasPrefix")
        page.keyboard.press("Shift+Tab")
        expect(page.locator(".jp-Tooltip")).to_contain_text("HasPrefix reports whether the string s begins with prefix")
        self.picture(page, "while-training")
        page.keyboard.press("Escape")

        page.locator("[data-command='notebook:interrupt-kernel']").click()
        expect(cells.nth(1)).to_contain_text("interrupted")
        self.idle(page)
        editor.click()
        page.keyboard.press("Control+A")
        page.keyboard.type("tr.History().Len() > 0")
        page.keyboard.press("Shift+Enter")
        expect(cells.nth(2).locator(".jp-OutputArea-output")).to_have_text(re.compile("true"))
        self.picture(page, "after-interrupt")


if __name__ == "__main__":
    unittest.main(argv=kernel_setup.arguments(), verbosity=2)
