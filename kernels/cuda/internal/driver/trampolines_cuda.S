//go:build cuda

// Each driver function is a jump through an entry of shim_table, so that the
// library behind it can be chosen while the program runs. The names are hidden:
// nothing that is loaded later can bind to them.
#if defined(__x86_64__)
#define JUMP(slot) jmp *(shim_table + 8*(slot))(%rip)
#elif defined(__aarch64__)
#define JUMP(slot) adrp x16, (shim_table + 8*(slot)); ldr x16, [x16, :lo12:(shim_table + 8*(slot))]; br x16
#else
#error "the CUDA driver is called on x86-64 and AArch64 only"
#endif

	.hidden shim_table
	.text
	.set slot, 0
#define X(name) .globl name; .hidden name; .type name, %function; name: JUMP(slot); .size name, . - name; .set slot, slot + 1;
#include "names.h"

	.section .note.GNU-stack, "", %progbits
