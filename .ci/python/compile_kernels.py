"""Compiles kernels/cuda/src to PTX with NVRTC and ptxas from wheels; needs no GPU.

    compile_kernels.py            writes kernels/cuda/ptx
    compile_kernels.py --check    compiles again and compares with what is there
    compile_kernels.py --report   prints registers, shared memory and spills of every kernel
"""
import concurrent.futures
import ctypes
import glob
import gzip
import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SRC, PTX = os.path.join(ROOT, "kernels/cuda/src"), os.path.join(ROOT, "kernels/cuda/ptx")
WHEELS = os.path.join(sysconfig.get_paths()["purelib"], "nvidia")
ARCHITECTURES = ["sm_80", "sm_90a"]

nvrtc = ctypes.CDLL(os.path.join(WHEELS, "cuda_nvrtc/lib/libnvrtc.so.12"))


def read(path):
    with open(path, "rb") as f:
        return f.read()


def headers():
    return sorted(glob.glob(SRC + "/*.cuh"))


def modules():
    return sorted(os.path.basename(p)[:-3] for p in glob.glob(SRC + "/*.cu"))


def digest(module):
    """The hash that tells whether a module's PTX is of its present text: of the file and all headers, by name."""
    h = hashlib.sha256()
    for path in [os.path.join(SRC, module + ".cu")] + headers():
        h.update(os.path.basename(path).encode() + b"\0" + read(path) + b"\0")
    return h.hexdigest()


def compile(module, arch):
    texts = [read(p) for p in headers()]
    names = [os.path.basename(p).encode() for p in headers()]
    program = ctypes.c_void_p()
    array = ctypes.c_char_p * len(texts)
    source = read(os.path.join(SRC, module + ".cu"))
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, (module + ".cu").encode(), len(texts), array(*texts), array(*names)) == 0
    options = [b"--gpu-architecture=" + arch.replace("sm_", "compute_").encode(), b"--std=c++17"]
    code = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))

    def text(what):
        n = ctypes.c_size_t()
        getattr(nvrtc, "nvrtcGet%sSize" % what)(program, ctypes.byref(n))
        buf = ctypes.create_string_buffer(n.value)
        getattr(nvrtc, "nvrtcGet" + what)(program, buf)
        return buf.value.decode()

    log = text("ProgramLog").strip()
    if code or log:
        sys.exit("%s for %s:\n%s" % (module, arch, log or "NVRTC code %d" % code))
    return text("PTX")


def assemble(ptx, arch):
    """What ptxas says of a module."""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "module.ptx")
        with open(path, "w") as f:
            f.write(ptx)
        r = subprocess.run([os.path.join(WHEELS, "cuda_nvcc/bin/ptxas"), "-arch=" + arch, "-v", path, "-o", path + ".cubin"], capture_output=True, text=True)
        if r.returncode:
            sys.exit(r.stderr)
        return r.stderr


def packed(ptx):
    return gzip.compress(ptx.encode(), 9, mtime=0)


def target(module, arch):
    return os.path.join(PTX, arch, module + ".ptx.gz")


def sources():
    return "".join("%s %s\n" % (digest(m), m) for m in modules())


def build(job):
    module, arch = job
    ptx = compile(module, arch)
    return job, ptx, assemble(ptx, arch)


def main(mode):
    if mode == "--check" and read(os.path.join(PTX, "sources.txt")).decode() != sources():
        sys.exit("kernels/cuda/ptx is not of the present kernels/cuda/src: run make generate")
    jobs = [(m, a) for m in modules() for a in ARCHITECTURES]
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for (module, arch), ptx, report in pool.map(build, jobs):
            path = target(module, arch)
            if mode == "--report":
                for name, frame, used in re.findall(r"entry function '(\w+)'.*?\n.*?\n\s*(.*?)\n.*?: (Used.*?)\n", report):
                    print("%-8s %-28s %s; %s" % (arch, name, used, frame))
            elif mode == "--check":
                if gzip.decompress(read(path)).decode() != ptx:
                    sys.exit("%s is not what %s.cu compiles to: run make generate" % (os.path.relpath(path, ROOT), module))
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as f:
                    f.write(packed(ptx))
                print("%-40s %7d bytes, %7d packed" % (os.path.relpath(path, ROOT), len(ptx), len(packed(ptx))))
    if mode == "":
        known = {target(m, a) for m, a in jobs}
        for path in glob.glob(PTX + "/*/*.ptx.gz"):
            if path not in known:
                os.remove(path)
        with open(os.path.join(PTX, "sources.txt"), "w") as f:
            f.write(sources())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
