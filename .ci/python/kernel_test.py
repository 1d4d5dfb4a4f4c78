"""What jupyter_kernel_test leaves out, on dpolab's kernel: comms, stdin,
interrupts, restarts, cells that fail, and front ends that behave badly.

    python kernel_test.py BINARY
"""

import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import time
import unittest

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from jupyter_client.session import Session

import kernel_setup
from kernel_setup import install as setUpModule, remove as tearDownModule  # which unittest calls

TIMEOUT = 20


def start():
    manager = KernelManager(kernel_name="dpolab")
    manager.start_kernel()
    return manager, connect(manager)


def connect(manager):
    client = BlockingKernelClient(connection_file=manager.connection_file)
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=TIMEOUT)
    return client


class Cell:
    """A cell that was sent, and what comes back."""

    def __init__(self, client, code, **options):
        self.client, self.outputs, self.reply = client, [], None
        self.id = client.execute(code, **options)

    @classmethod
    def drafted(cls, client, code, **options):
        """A cell that is sent later."""
        c = cls.__new__(cls)
        c.client, c.outputs, c.reply = client, [], None
        c.message = client.session.msg("execute_request", {"code": code, "silent": False, **options})
        c.id = c.message["header"]["msg_id"]
        return c

    def until(self, found):
        """Reads outputs until found says of one that it is the one."""
        while True:
            m = self.client.get_iopub_msg(timeout=TIMEOUT)
            if m["parent_header"].get("msg_id") != self.id:
                continue
            self.outputs.append(m)
            if found(m):
                return m
            if m["msg_type"] == "status" and m["content"]["execution_state"] == "idle":
                raise AssertionError(f"the cell has ended: {self.of('error')}")

    def printed(self, text):
        return self.until(lambda m: text in self.stream("stdout"))

    def done(self):
        self.until(lambda m: m["msg_type"] == "status" and m["content"]["execution_state"] == "idle")
        while self.reply is None:
            m = self.client.get_shell_msg(timeout=TIMEOUT)
            if m["parent_header"]["msg_id"] == self.id:
                self.reply = m["content"]
        return self

    def kinds(self):
        return [m["msg_type"] for m in self.outputs if m["msg_type"] != "status"]

    def stream(self, name):
        return "".join(m["content"]["text"] for m in self.outputs if m["msg_type"] == "stream" and m["content"]["name"] == name)

    def of(self, kind):
        return [m["content"] for m in self.outputs if m["msg_type"] == kind]

    def value(self):
        """The text of the cell's last expression."""
        shown = self.of("execute_result")
        if not shown:
            raise AssertionError(f"the cell has no value: {self.reply}")
        return shown[0]["data"]["text/plain"]


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.manager, cls.client = start()

    @classmethod
    def tearDownClass(cls):
        cls.client.stop_channels()
        cls.manager.shutdown_kernel()

    def cell(self, code, **options):
        return Cell(self.client, code, **options).done()

    def ask(self, kind, content, channel="shell"):
        """Sends a request and returns the content of its reply."""
        c = self.client
        m = c.session.msg(kind, content)
        getattr(c, channel + "_channel").send(m)
        while True:
            r = getattr(c, channel + "_channel").get_msg(timeout=TIMEOUT)
            if r["parent_header"]["msg_id"] == m["header"]["msg_id"]:
                return r["content"]


class Cells(Base):
    def test_state_and_count(self):
        a = self.cell("kept := 20")
        b = self.cell("kept + 1")
        self.assertEqual(a.reply["execution_count"] + 1, b.reply["execution_count"])
        self.assertEqual("21", b.value())
        self.assertEqual(["execute_input", "execute_result"], b.kinds())

    def test_silent_mixes(self):
        n = self.cell("1").reply["execution_count"]
        noisy = 'fmt.Println("out"); 3'
        silent = self.cell(noisy, silent=True)
        self.assertEqual([], silent.kinds())
        self.assertEqual(n, silent.reply["execution_count"])
        silent = self.cell("panic(1)", silent=True)
        self.assertEqual(([], "error"), (silent.kinds(), silent.reply["status"]))
        unkept = self.cell(noisy + " // unkept", store_history=False)
        self.assertEqual(["execute_input", "stream", "execute_result"], unkept.kinds())
        self.assertEqual(n, unkept.reply["execution_count"])
        empty = self.cell("  \n")
        self.assertEqual((["execute_input"], n), (empty.kinds(), empty.reply["execution_count"]))
        kept = self.ask("history_request", {"hist_access_type": "tail", "n": 1, "output": True, "raw": True})
        self.assertEqual(["1", "1"], kept["history"][0][2])
        self.assertEqual(n + 1, self.cell("2").reply["execution_count"])

    def test_user_expressions(self):
        c = self.cell("expr := 6", user_expressions={"good": "expr * 7", "bad": "nothing", "odd": "panic(2)"})
        said = c.reply["user_expressions"]
        self.assertEqual({"text/plain": "42"}, said["good"]["data"])
        self.assertEqual(("error", "CompileError"), (said["bad"]["status"], said["bad"]["ename"]))
        self.assertEqual("error", said["odd"]["status"])
        self.assertEqual(["execute_input"], c.kinds())

    def test_abort_on_error(self):
        first = Cell(self.client, "time.Sleep(200 * time.Millisecond); panic(\"first\")")
        behind = [Cell(self.client, f"aborted{i} := 1") for i in range(3)]
        self.assertEqual("error", first.done().reply["status"])
        for c in behind:
            c.done()
            self.assertEqual("aborted", c.reply["status"])
            self.assertEqual([], c.kinds())
        self.assertEqual("error", self.cell("aborted0").reply["status"], "an aborted cell has run")
        # Sent at once, in one burst: the failure is quicker than what follows.
        for stop, then in ((True, "aborted"), (False, "ok")) * 5:
            burst = [Cell.drafted(self.client, code, stop_on_error=stop) for code in ("panic(1)", "2")]
            for c in burst:
                self.client.shell_channel.send(c.message)
            self.assertEqual(["error", then], [c.done().reply["status"] for c in burst])

    def test_asked_after_an_error(self):
        """A cell sent as soon as the failure is seen runs."""
        for _ in range(20):
            Cell(self.client, "panic(1)").until(lambda m: m["msg_type"] == "error")
            self.assertEqual("ok", self.cell("2").reply["status"])

    def test_errors_name_the_line(self):
        c = self.cell("x := 1\ny := x +\n\tundefinedName\n_ = y")
        e = c.of("error")[0]
        self.assertEqual("CompileError", e["ename"])
        self.assertIn("undefined: undefinedName", e["evalue"])
        text = "\n".join(e["traceback"])
        self.assertIn(":3:2", text)
        self.assertIn("\tundefinedName", text)
        self.cell("func inner(i int) int {\n\tvalues := []int{1}\n\treturn values[i]\n}")
        e = self.cell("func outer() int {\n\treturn inner(5)\n}\n\nouter()").of("error")[0]
        text = "\n".join(e["traceback"])
        self.assertIn("index out of range", e["evalue"])
        self.assertIn("return values[i]", text)
        self.assertIn("inner", text)
        self.assertNotIn("goroutine ", text)
        self.assertNotIn(".go:", text)

    def test_os_exit_keeps_the_kernel(self):
        self.assertEqual("ok", self.cell("os.Exit(0)").reply["status"])
        self.assertEqual("Exit 3", self.cell("os.Exit(3)").reply["ename"])
        self.assertEqual("ok", self.cell("1").reply["status"])

    def test_commands(self):
        self.cell("listed := 5")
        self.assertIn("listed", self.cell("%who").stream("stdout"))
        timed = self.cell("%time listed + 1")
        self.assertEqual("6", timed.value())
        self.assertIn("time:", timed.stream("stdout"))
        self.assertEqual("error", self.cell("%nothing").reply["status"])
        self.assertIn("var listed int", self.cell("listed?").reply["payload"][0]["data"]["text/plain"])
        self.assertEqual("ask_exit", self.cell("%quit").reply["payload"][0]["source"])
        self.assertEqual([], self.cell("1").reply["payload"])


class Output(Base):
    def test_order_and_coalescing(self):
        c = self.cell('for i := range 500 { fmt.Println("line", i) }\nfmt.Fprintln(os.Stderr, "then")\nfmt.Println("last")')
        self.assertEqual("".join(f"line {i}\n" for i in range(500)) + "last\n", c.stream("stdout"))
        self.assertLess(len(c.of("stream")), 20)
        self.assertEqual(["stderr", "stdout"], [m["name"] for m in c.of("stream")][-2:])

    def test_file_descriptors(self):
        """What bypasses the session's writers: child processes, and compiled code that has os.Stdout."""
        c = self.cell('import "os/exec"\n'
                      'fmt.Println("a")\nos.Stdout.WriteString("b\\n")\n'
                      'cmd := exec.Command("sh", "-c", "echo c; echo d >&2")\ncmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr\n'
                      'err := cmd.Run()\nfmt.Println("e")')
        self.assertEqual("a\nb\nc\ne\n", c.stream("stdout"))
        self.assertEqual("d\n", c.stream("stderr"))

    def test_characters_are_whole(self):
        c = self.cell('for _, b := range []byte("zażółć 🙂") { os.Stdout.Write([]byte{b}); time.Sleep(20 * time.Millisecond) }')
        self.assertEqual("zażółć 🙂", c.stream("stdout"))
        c = self.cell('os.Stdout.Write([]byte{65, 0xff, 66})')
        self.assertEqual("A\ufffdB", c.stream("stdout"))

    def test_goroutines_print_below_their_cell(self):
        first = Cell(self.client, 'go func() { for i := range 3 { time.Sleep(150 * time.Millisecond); fmt.Println("from the first", i) } }()').done()
        second = Cell(self.client, 'time.Sleep(600 * time.Millisecond); fmt.Println("from the second")')
        said = {first.id: "", second.id: ""}
        while "second" not in said[second.id] or "2" not in said[first.id]:
            m = self.client.get_iopub_msg(timeout=TIMEOUT)
            if m["msg_type"] == "stream":
                said[m["parent_header"]["msg_id"]] += m["content"]["text"]
        self.assertEqual("from the second\n", said[second.id])
        self.assertEqual("".join(f"from the first {i}\n" for i in range(3)), said[first.id])
        second.reply = self.client.get_shell_msg(timeout=TIMEOUT)

    def test_displays(self):
        c = self.cell('import "dpolab/stdlib/display"\nid := display.NewID()\n'
                      'display.Update(id, display.OfText("one")); display.Update(id, display.OfText("two"))\n'
                      'display.HTML("<i>x</i>"); display.Clear(true)')
        self.assertEqual(["execute_input", "display_data", "update_display_data", "display_data", "clear_output"], c.kinds())
        shown, updated = c.of("display_data")[0], c.of("update_display_data")[0]
        self.assertEqual(("one", "two"), (shown["data"]["text/plain"], updated["data"]["text/plain"]))
        self.assertEqual(shown["transient"]["display_id"], updated["transient"]["display_id"])
        self.assertEqual({"wait": True}, c.of("clear_output")[0])
        again = 'display.Update(id, display.OfText("three"))'
        self.assertEqual(["execute_input", "update_display_data"], self.cell(again).kinds())

    def test_rich_values(self):
        c = self.cell('import "dpolab/stdlib/plot"\nplot.New("t").Line("y", []float64{1, 2}, []float64{1, 4})')
        self.assertIn("<svg", c.of("execute_result")[0]["data"]["image/svg+xml"])
        self.assertIn("text/plain", c.of("execute_result")[0]["data"])

    def test_hundred_megabytes(self):
        c = Cell(self.client, 'line := strings.Repeat("x", 9999) + "\\n"\nfor range 10000 { fmt.Print(line) }')
        size = 0
        while True:
            m = self.client.get_iopub_msg(timeout=TIMEOUT)
            if m["msg_type"] == "stream":
                size += len(m["content"]["text"])
            elif m["msg_type"] == "status" and m["content"]["execution_state"] == "idle" and m["parent_header"]["msg_id"] == c.id:
                break
        self.assertEqual(100_000_000, size)
        self.client.get_shell_msg(timeout=TIMEOUT)


class WhileBusy(Base):
    """A cell runs all the while."""

    def setUp(self):
        self.running = Cell(self.client, 'fmt.Println("begun"); for { time.Sleep(time.Millisecond) }')
        self.running.printed("begun")

    def tearDown(self):
        self.manager.interrupt_kernel()
        self.running.done()
        self.assertEqual("Interrupted", self.running.reply["ename"])

    def test_answers(self):
        self.assertIn("HasPrefix", self.ask("complete_request", {"code": "strings.Has", "cursor_pos": 11})["matches"])
        self.assertTrue(self.ask("inspect_request", {"code": "strings.HasPrefix", "cursor_pos": 17, "detail_level": 0})["found"])
        self.assertEqual("incomplete", self.ask("is_complete_request", {"code": "func f() {"})["status"])
        self.assertEqual("ok", self.ask("history_request", {"hist_access_type": "tail", "n": 1})["status"])
        self.assertEqual("ok", self.ask("comm_info_request", {})["status"])
        self.assertEqual("5.5", self.ask("kernel_info_request", {})["protocol_version"])
        self.assertEqual("5.5", self.ask("kernel_info_request", {}, "control")["protocol_version"])

    def test_state_stays_busy(self):
        """Front ends show the last state; an answer must not make a running cell look idle."""
        m = self.client.session.msg("is_complete_request", {"code": "1"})
        self.client.shell_channel.send(m)
        states = []
        while len(states) < 3:
            s = self.client.get_iopub_msg(timeout=TIMEOUT)
            if s["msg_type"] == "status":
                states.append((s["content"]["execution_state"], s["parent_header"]["msg_id"]))
        asked = m["header"]["msg_id"]
        self.assertEqual([("busy", asked), ("idle", asked), ("busy", self.running.id)], states)

    def test_heartbeat(self):
        self.assertTrue(self.client.is_alive())
        with zmq.Context() as context, context.socket(zmq.REQ) as s:
            s.setsockopt(zmq.LINGER, 0)
            s.connect(f"tcp://127.0.0.1:{self.manager.hb_port}")
            for word in (b"", b"ping", b"x" * 100_000):
                s.send(word)
                self.assertTrue(s.poll(TIMEOUT * 1000))
                self.assertEqual(word, s.recv())


class Asking(Base):
    def test_input(self):
        for code, prompt, password in (
            ('import "dpolab/stdlib/display"\nfmt.Println("got " + display.Input("name? "))', "name? ", False),
            ('import "dpolab/stdlib/display"\nfmt.Println("got " + display.Password("secret? "))', "secret? ", True),
            ('var word string\nfmt.Scanln(&word)\nfmt.Println("got " + word)', "", False),
        ):
            c = Cell(self.client, code, allow_stdin=True)
            m = self.client.get_stdin_msg(timeout=TIMEOUT)
            self.assertEqual(("input_request", {"prompt": prompt, "password": password}), (m["msg_type"], m["content"]))
            self.client.input("żółw")
            self.assertEqual("got żółw\n", c.done().stream("stdout"))

    def test_not_allowed(self):
        c = self.cell("var word string\nfmt.Scanln(&word)", allow_stdin=False)
        self.assertEqual("error", c.reply["status"])
        self.assertIn("allow_stdin", c.reply["evalue"])

    def test_interrupt(self):
        c = Cell(self.client, "var word string\nfmt.Scanln(&word)\nfor { time.Sleep(time.Millisecond) }", allow_stdin=True)
        question = self.client.get_stdin_msg(timeout=TIMEOUT)
        self.manager.interrupt_kernel()
        self.assertEqual("Interrupted", c.done().reply["ename"])
        self.client.stdin_channel.send(self.client.session.msg("input_reply", {"value": "too late"}, parent=question))
        self.test_input()


class Comms(Base):
    def comm(self, kind, **content):
        m = self.client.session.msg(kind, content)
        self.client.shell_channel.send(m)
        said = []
        while True:
            r = self.client.get_iopub_msg(timeout=TIMEOUT)
            if r["parent_header"].get("msg_id") != m["header"]["msg_id"]:
                continue
            if r["msg_type"] == "status" and r["content"]["execution_state"] == "idle":
                return said
            if r["msg_type"] != "status":
                said.append((r["msg_type"], r["content"]))

    def test_unknown_target(self):
        self.assertEqual([("comm_close", {"comm_id": "a", "data": {}})], self.comm("comm_open", comm_id="a", target_name="nothing", data={}))
        self.assertEqual([], self.comm("comm_msg", comm_id="a", data={}))

    def test_session(self):
        self.cell('inComm := []string{"x"}')
        self.assertEqual([], self.comm("comm_open", comm_id="s", target_name="dpolab.session", data={}))
        self.assertEqual({"s": {"target_name": "dpolab.session"}}, self.ask("comm_info_request", {})["comms"])
        self.assertEqual({}, self.ask("comm_info_request", {"target_name": "other"})["comms"])
        running = Cell(self.client, 'fmt.Println("begun"); for { time.Sleep(time.Millisecond) }')
        running.printed("begun")
        [(kind, content)] = self.comm("comm_msg", comm_id="s", data={"ask": "names"})
        self.assertEqual("comm_msg", kind)
        [found] = [n for n in content["data"]["names"] if n["name"] == "inComm"]
        self.assertEqual(("[]string", '[]string{"x"}'), (found["type"], found["value"]))
        self.manager.interrupt_kernel()
        running.done()
        self.comm("comm_close", comm_id="s", data={})
        self.assertEqual({}, self.ask("comm_info_request", {})["comms"])


class Interrupts(Base):
    def test_keeps_state(self):
        self.cell("steps := 0\nadd := func(n int) int { return steps + n }")
        for body in ("for { steps++ }", "time.Sleep(time.Hour)", "select {}", "<-make(chan int)", "for { steps = add(1) }"):
            c = Cell(self.client, 'fmt.Println("begun")\n' + body)
            c.printed("begun")
            behind = Cell(self.client, "1")
            self.ask("kernel_info_request", {})  # answered, so the cell before it waits in the kernel
            began = time.time()
            self.manager.interrupt_kernel()
            self.assertEqual("Interrupted", c.done().reply.get("ename"), (body, c.reply))
            self.assertLess(time.time() - began, 5)
            self.assertEqual("aborted", behind.done().reply["status"])
        self.cell("steps = 4")
        self.assertEqual("7", self.cell("add(3)").value())

    def test_idle(self):
        # Asked with a reply: the manager waits for none, and what it sends may
        # come later than a cell sent after it, by another channel.
        self.assertEqual({"status": "ok"}, self.ask("interrupt_request", {}, "control"))
        self.assertEqual("ok", self.cell("1").reply["status"])

    def test_signal(self):
        c = Cell(self.client, 'fmt.Println("begun"); for {}')
        c.printed("begun")
        os.kill(self.manager.provisioner.pid, signal.SIGINT)
        self.assertEqual("Interrupted", c.done().reply["ename"])

    def test_training(self):
        c = Cell(self.client, 'import "dpolab/stdlib/dpo"\ndemo := dpo.Demo()\npolicy := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig())\n'
                              'cfg := dpo.DefaultTrainConfig()\ncfg.BatchSize, cfg.LR, cfg.WarmupSteps, cfg.Epochs = 8, 1e-4, 0, 1000\n'
                              'trainer := dpo.NewTrainer(policy, nil, demo.Train, nil, cfg)\nfmt.Println("begun")\ntrainer.Run()')
        c.printed("begun")
        c.until(lambda m: m["msg_type"] == "update_display_data")  # the chart, with the first step
        self.manager.interrupt_kernel()
        self.assertEqual("Interrupted", c.done().reply["ename"])
        at = self.cell("trainer.History().Len()").value()
        self.assertGreater(int(at), 0)
        self.cell("trainer.Step()")
        self.assertEqual(str(int(at) + 1), self.cell("trainer.History().Len()").value())


class Ends(unittest.TestCase):
    def test_shutdown(self):
        manager, client = start()
        Cell(client, 'fmt.Println("begun"); for {}').printed("begun")
        m = client.session.msg("shutdown_request", {"restart": False})
        client.control_channel.send(m)
        self.assertEqual({"status": "ok", "restart": False}, client.control_channel.get_msg(timeout=TIMEOUT)["content"])
        while client.get_iopub_msg(timeout=TIMEOUT)["msg_type"] != "shutdown_reply":
            pass
        deadline = time.time() + 10
        while manager.is_alive() and time.time() < deadline:
            time.sleep(0.02)
        self.assertFalse(manager.is_alive())
        client.stop_channels()
        manager.cleanup_resources()

    def test_restart(self):
        manager, client = start()
        Cell(client, "gone := 1").done()
        manager.restart_kernel()
        client.wait_for_ready(timeout=TIMEOUT)
        c = Cell(client, "gone").done()
        self.assertEqual(("error", 1), (c.reply["status"], c.reply["execution_count"]))
        client.stop_channels()
        manager.shutdown_kernel()

    def test_server_killed(self):
        """The kernel ends with the server that started it, however that ends."""
        code = ("from jupyter_client.manager import KernelManager\nimport time\nm = KernelManager(kernel_name='dpolab')\nm.start_kernel()\n"
                "c = m.blocking_client()\nc.start_channels()\nc.wait_for_ready(timeout=20)\n"
                "print(m.provisioner.pid, flush=True)\ntime.sleep(100)")
        server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        pid = int(server.stdout.readline())
        server.kill()
        server.wait()
        server.stdout.close()
        deadline = time.time() + 10
        while time.time() < deadline and os.path.exists(f"/proc/{pid}"):
            time.sleep(0.05)
        self.assertFalse(os.path.exists(f"/proc/{pid}"))


class BadFrontEnds(unittest.TestCase):
    """Other front ends of the same kernel must not notice."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(kernel_setup.FOLDER.name)
        cls.log = open(cls.folder / "kernel.log", "w+")
        cls.manager = KernelManager(kernel_name="dpolab")
        cls.manager.start_kernel(stderr=cls.log)
        cls.client = connect(cls.manager)

    @classmethod
    def tearDownClass(cls):
        cls.client.stop_channels()
        cls.manager.shutdown_kernel()
        cls.log.close()

    def logged(self, text):
        deadline = time.time() + 5
        while time.time() < deadline:
            if text in (self.folder / "kernel.log").read_text():
                return True
            time.sleep(0.02)
        return False

    def works(self):
        c = Cell(self.client, "1 + 1").done()
        self.assertEqual("2", c.value())

    def shell(self, context):
        s = context.socket(zmq.DEALER)
        s.setsockopt(zmq.LINGER, 0)
        s.connect(f"tcp://127.0.0.1:{self.manager.shell_port}")
        return s

    def test_signatures(self):
        forger = Session(key=b"another key")
        honest = Session(key=self.manager.session.key)
        with zmq.Context() as context, self.shell(context) as s:
            s.send_multipart(forger.serialize(forger.msg("kernel_info_request", {})))
            self.assertFalse(s.poll(300), "a forged message was answered")
            self.assertTrue(self.logged("the signature is wrong"))
            frames = honest.serialize(honest.msg("kernel_info_request", {}))
            s.send_multipart(frames)
            self.assertTrue(s.poll(TIMEOUT * 1000))
            s.recv_multipart()
            s.send_multipart(frames)
            self.assertFalse(s.poll(300), "a replayed message was answered")
            self.assertTrue(self.logged("has been seen before"))
            # Signed as received, whatever the JSON looks like.
            header = json.dumps(honest.msg_header("kernel_info_request"), default=str, indent=2).encode()
            parts = [header, b"{ }", b" {}", b"{}  "]
            s.send_multipart([b"<IDS|MSG>", honest.sign(parts), *parts, b"a buffer"])
            self.assertTrue(s.poll(TIMEOUT * 1000))
            _, reply = honest.feed_identities(s.recv_multipart())
            self.assertEqual("ok", honest.deserialize(reply)["content"]["status"])
        key = self.manager.session.key.decode()
        self.assertNotIn(key, (self.folder / "kernel.log").read_text())
        self.works()

    def test_garbage(self):
        honest = Session(key=self.manager.session.key)
        signed = lambda *parts: [b"<IDS|MSG>", honest.sign(list(parts)), *parts]
        with zmq.Context() as context, self.shell(context) as s:
            for frames in ([b""], [b"x"] * 20, [b"<IDS|MSG>"], [b"<IDS|MSG>", b"", b"{}", b"{}"], signed(b"no JSON", b"{}", b"{}", b"{}"),
                           signed(b"{}", b"{}", b"{}", b"{}"), signed(b"[]", b"[]", b"[]", b"[]")):
                s.send_multipart(frames)
            for kind in ("execute_request", "complete_request", "history_request", "comm_open", "comm_msg", "no_such_request"):
                m = honest.msg(kind)
                m["content"] = b'["not", "an", "object"]'
                s.send_multipart(honest.serialize(m))
            for m in (honest.msg("complete_request", {"code": "zażółć.", "cursor_pos": 1000}), honest.msg("inspect_request", {"code": "x", "cursor_pos": -5}),
                      honest.msg("history_request", {"hist_access_type": "tail", "n": -1})):
                s.send_multipart(honest.serialize(m))
        import socket
        for text in (b"GET / HTTP/1.0\r\n\r\n", b"\xff" + b"\x00" * 63, os.urandom(200)):
            with socket.create_connection(("127.0.0.1", self.manager.shell_port)) as c:
                c.sendall(text)
        self.works()

    def test_ten_clients(self):
        clients = [connect(self.manager) for _ in range(10)]
        cells = [Cell(c, f'fmt.Println("client {i}")') for i, c in enumerate(clients)]
        for i, c in enumerate(cells):
            self.assertEqual(f"client {i}\n", c.done().stream("stdout"))
            self.assertEqual("ok", c.reply["status"])
        for c in clients:
            c.stop_channels()
        self.works()

    def test_stalled_subscriber(self):
        with zmq.Context() as context, context.socket(zmq.SUB) as s:
            s.setsockopt(zmq.RCVHWM, 1)
            s.setsockopt(zmq.RCVBUF, 4096)
            s.setsockopt(zmq.SUBSCRIBE, b"")
            s.setsockopt(zmq.LINGER, 0)
            s.connect(f"tcp://127.0.0.1:{self.manager.iopub_port}")
            self.assertTrue(s.poll(TIMEOUT * 1000))
            began = time.time()
            c = Cell(self.client, 'block := strings.Repeat("y", 1 << 16)\nfor range 800 { fmt.Print(block) }\nfmt.Println("end")').done()
            self.assertEqual(800 * 65536 + 4, len(c.stream("stdout")))
            self.assertLess(time.time() - began, 15)
            self.works()

    def test_client_killed(self):
        code = ("import sys\nfrom jupyter_client.blocking.client import BlockingKernelClient\nc = BlockingKernelClient(connection_file=sys.argv[1])\n"
                "c.load_connection_file()\nc.start_channels()\nc.wait_for_ready()\n"
                "c.execute('for i := range 30 { time.Sleep(20 * time.Millisecond); fmt.Println(i) }; survived := 1')\nprint('sent', flush=True)\nc.get_shell_msg(timeout=60)")
        other = subprocess.Popen([sys.executable, "-c", code, self.manager.connection_file], stdout=subprocess.PIPE, text=True)
        self.assertEqual("sent\n", other.stdout.readline())
        while self.client.get_iopub_msg(timeout=TIMEOUT)["msg_type"] != "stream":
            pass
        other.kill()
        other.wait()
        other.stdout.close()
        self.assertEqual("1", Cell(self.client, "survived").done().value())


if __name__ == "__main__":
    unittest.main(argv=kernel_setup.arguments(), verbosity=2)
