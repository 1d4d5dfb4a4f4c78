"""PyTorch's side of `dpolab bench`: one JSON request per line on stdin, one JSON reply on stdout.

    {"op": "versions"}                                          -> {"versions": {..}}
    {"op": "open", "job": {"kind": "sft" | "dpo", ..}}          -> {}
    {"op": "step", "examples": [{"prompt": [..], "chosen": [..], "rejected": [..]}]} -> {"seconds": [s], "cpu": [s], "loss": x}
    {"op": "reset_peak"}, {"op": "memory"}                      -> {"rss", "peak"} in bytes
    {"op": "kernel", "kernel": {"name": "gemm", ..}}            -> {"seconds": [..]}

Whatever else prints, prints to stderr. An error is a reply with the key "error".
"""
import json
import os
import sys
import time
import traceback

replies = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # nothing but replies may reach the driver

import torch
import transformers

import bench_ops
import bench_steps

transformers.logging.set_verbosity_error()


def memory(_request):
    fields = {}
    with open("/proc/self/status") as f:
        for line in f:
            key, _, value = line.partition(":")
            if key in ("VmRSS", "VmHWM"):
                fields[key] = int(value.split()[0]) * 1024
    return {"rss": fields.get("VmRSS", 0), "peak": fields.get("VmHWM", 0)}


def reset_peak(_request):
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")
    return {}


class Server:
    def __init__(self):
        self.job = None

    def open(self, request):
        job = request["job"]
        torch.set_num_threads(job["threads"])
        self.job = None
        self.job = bench_steps.open_job(job)
        return {}

    def step(self, request):
        start, processor = time.perf_counter(), time.process_time()
        loss = self.job.step(request["examples"])
        return {"seconds": [time.perf_counter() - start], "cpu": [time.process_time() - processor], "loss": loss}

    def kernel(self, request):
        kernel = request["kernel"]
        torch.set_num_threads(kernel["threads"])
        return {"seconds": bench_ops.time_kernel(kernel)}

    def versions(self, _request):
        return {"versions": {
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "capability": torch.backends.cpu.get_cpu_capability(),
        }}


def main():
    server = Server()
    handlers = {
        "open": server.open, "step": server.step, "kernel": server.kernel,
        "versions": server.versions, "memory": memory, "reset_peak": reset_peak,
    }
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = handlers[request["op"]](request)
        except Exception as error:  # the driver decides what a failure means
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        replies.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
