"""The public test suite for Jupyter kernels, jupyter_kernel_test, on dpolab's.

    python kernel_conformance_test.py BINARY
"""

import unittest

import jupyter_kernel_test
import kernel_setup
from kernel_setup import install as setUpModule, remove as tearDownModule  # which unittest calls


class Protocol(jupyter_kernel_test.KernelTests):
    kernel_name = "dpolab"
    language_name = "go"
    file_extension = ".go"
    code_hello_world = 'fmt.Println("hello, world")'
    code_stderr = 'fmt.Fprintln(os.Stderr, "oops")'
    completion_samples = [
        {"text": "strings.HasP", "matches": {"HasPrefix"}},
        {"text": "fmt.Sprin", "matches": {"Sprint", "Sprintf", "Sprintln"}},
        {"text": "zzz", "matches": set()},
    ]
    complete_code_samples = ["x := 1", "func f() int {\n\treturn 3\n}", "%who", "?fmt"]
    incomplete_code_samples = ["func f() int {", "x := []int{1,", "s := `open", "1 +"]
    invalid_code_samples = ["x := )", "for }", "var 3 int"]
    code_page_something = "?strings.HasPrefix"
    code_generate_error = "var p *struct{ x int }\np.x"
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": '"text"', "result": '"text"'},
        {"code": "[]int{1, 2}", "result": "[]int{1, 2}"},
        {"code": "6 * 7", "result": "42"},
        {"code": "6 * 7", "result": "42"},
    ]
    code_display_data = [
        {"code": 'import "dpolab/stdlib/display"\ndisplay.HTML("<b>bold</b>")', "mime": "text/html"},
        {"code": 'import "dpolab/stdlib/plot"\nplot.New("a figure").Line("y", []float64{1, 2, 3}, []float64{1, 4, 9}).Show()', "mime": "image/svg+xml"},
    ]
    code_history_pattern = "6 ?*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "strings.HasPrefix"
    code_clear_output = 'import "dpolab/stdlib/display"\ndisplay.Clear(false)'


class Welcome(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = "dpolab"
    support_iopub_welcome = True


if __name__ == "__main__":
    unittest.main(argv=kernel_setup.arguments(), verbosity=2)
