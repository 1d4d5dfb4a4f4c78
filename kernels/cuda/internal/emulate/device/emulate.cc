// The scheduler behind emulate.h.
#include "emulate.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulate {

// A fiber is switched by saving what the calling convention says a function
// must keep, and the stack pointer.
#if defined(__x86_64__)
extern "C" void emulate_switch(void **save, void *load);
__asm__(".text\n.globl emulate_switch\n.hidden emulate_switch\n.type emulate_switch,@function\nemulate_switch:\n"
	"pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
	"movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
	"popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");
enum { SAVED = 6 };
#elif defined(__aarch64__)
extern "C" void emulate_switch(void **save, void *load);
__asm__(".text\n.globl emulate_switch\n.hidden emulate_switch\n.type emulate_switch,%function\nemulate_switch:\n"
	"sub sp, sp, #160\nstp x19, x20, [sp]\nstp x21, x22, [sp, #16]\nstp x23, x24, [sp, #32]\nstp x25, x26, [sp, #48]\n"
	"stp x27, x28, [sp, #64]\nstp x29, x30, [sp, #80]\nstp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\nstp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\n"
	"mov x9, sp\nstr x9, [x0]\nmov sp, x1\n"
	"ldp x19, x20, [sp]\nldp x21, x22, [sp, #16]\nldp x23, x24, [sp, #32]\nldp x25, x26, [sp, #48]\n"
	"ldp x27, x28, [sp, #64]\nldp x29, x30, [sp, #80]\nldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\nldp d12, d13, [sp, #128]\nldp d14, d15, [sp, #144]\n"
	"add sp, sp, #160\nret\n");
enum { SAVED = 20 };
#else
#error "no fibers for this processor"
#endif

enum { STACK = 128 << 10, MAX_THREADS = 1024, SHARED = 256 << 10, MAX_COPIES = 64 };
enum State { NEW, RUNNING, AT_BARRIER, AT_WARP, DONE };

struct Copy {
	void *to;
	unsigned char data[16];
	int group;
};

struct Fiber {
	State state;
	void *stack, *sp;
	const void *site;
	unsigned turn; // warp operations so far: which slots are next
	int group;     // of cp.async
	int count;
	Copy copies[MAX_COPIES];
};

static Fiber fibers[MAX_THREADS];
static Slots turns[MAX_THREADS / 32][2];
static void *stacks[MAX_THREADS];
static int spare; // stacks
static Fiber *current;
static void *scheduler;
static void (*body)(const void *);
static const void *arguments;
static unsigned char *shared_end;
static unsigned shared_size;
static char message[512];
static const char *kernel;

// complain keeps the first error; emulate_error hands it out.
static void complain(const char *what) {
	if (!message[0]) snprintf(message, sizeof message, "%s: block (%u, %u, %u): %s", kernel, blockIdx.x, blockIdx.y, blockIdx.z, what);
}

extern "C" const char *emulate_error() {
	static char out[sizeof message];
	memcpy(out, message, sizeof out);
	message[0] = 0;
	return out;
}

static void start() {
	body(arguments);
	current->state = DONE;
	void *nowhere;
	emulate_switch(&nowhere, scheduler);
	abort();
}

static void suspend(State s, const void *site) {
	current->state = s;
	current->site = site;
	emulate_switch(&current->sp, scheduler);
}

void barrier(const void *site) { suspend(AT_BARRIER, site); }
void warp_barrier(const void *site) {
	current->turn++;
	suspend(AT_WARP, site);
}

Slots &slots() { return turns[(current - fibers) / 32][current->turn & 1]; }

void *shared_memory() { return shared_end - shared_size; }

// A copy reads at once but arrives when it is waited for: what a kernel uses
// earlier is still the old contents.
void start_copy(void *to, const void *from, bool inside) {
	Copy c;
	c.to = to;
	c.group = current->group;
	if (inside)
		memcpy(c.data, from, 16);
	else
		memset(c.data, 0, 16);
	if (((uintptr_t)to | (inside ? (uintptr_t)from : 0)) & 15) complain("cp.async of 16 bytes at an address that is not a multiple of 16");
	if (current->count == MAX_COPIES) {
		complain("more cp.async copies in flight than the emulation holds");
		return;
	}
	current->copies[current->count++] = c;
}
void close_copies() { current->group++; }
void finish_copies(int keep) {
	int left = 0;
	for (int i = 0; i < current->count; i++) {
		const Copy &c = current->copies[i];
		if (c.group < current->group - keep)
			memcpy(c.to, c.data, 16);
		else
			current->copies[left++] = c;
	}
	current->count = left;
}

// resume runs a thread until it waits or ends.
static void resume(unsigned t) {
	Fiber &f = fibers[t];
	threadIdx.x = t;
	current = &f;
	if (f.state == NEW) {
		if (spare == 0) {
			void *p = mmap(0, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			if (p == MAP_FAILED) abort();
			stacks[spare++] = p;
		}
		f.stack = stacks[--spare];
		void **top = (void **)((char *)f.stack + STACK) - 1; // as a call leaves it: 8 below a multiple of 16
		*top = 0;
		top -= SAVED + 1;
		memset(top, 0, 8 * (SAVED + 1));
#if defined(__x86_64__)
		top[SAVED] = (void *)start;
#else
		top = (void **)((char *)f.stack + STACK - 160);
		top[11] = (void *)start; // x30
#endif
		f.sp = top;
	}
	f.state = RUNNING;
	emulate_switch(&scheduler, f.sp);
	if (f.state == DONE) {
		if (f.count > 0) complain("a thread ended before its cp.async copies were waited for");
		stacks[spare++] = f.stack;
	}
}

// run_warp lets a warp's lanes run until all wait at a barrier or are done.
static bool run_warp(unsigned first, unsigned last) {
	for (;;) {
		for (unsigned t = first; t < last; t++)
			if (fibers[t].state == NEW || fibers[t].state == RUNNING) resume(t);
		unsigned waiting = 0;
		for (unsigned t = first; t < last; t++) waiting += fibers[t].state == AT_WARP;
		if (waiting == 0) return true;
		if (waiting < last - first) {
			complain("a warp operation that not all lanes reach");
			return false;
		}
		for (unsigned t = first; t < last; t++) {
			if (fibers[t].site != fibers[first].site) {
				complain("lanes of one warp at different warp operations");
				return false;
			}
			fibers[t].state = RUNNING;
		}
	}
}

static bool run_block(unsigned threads) {
	for (unsigned t = 0; t < threads; t++) {
		Fiber &f = fibers[t];
		f.state = NEW;
		f.turn = 0;
		f.group = f.count = 0;
	}
	for (;;) {
		unsigned done = 0;
		for (unsigned w = 0; w < threads; w += 32) {
			unsigned last = w + 32 < threads ? w + 32 : threads;
			if (!run_warp(w, last)) return false;
			for (unsigned t = w; t < last; t++) done += fibers[t].state == DONE;
		}
		if (done == threads) return true;
		if (done > 0) {
			complain("a barrier that threads wait at which others have left behind");
			return false;
		}
		for (unsigned t = 0; t < threads; t++) {
			if (fibers[t].site != fibers[0].site) {
				complain("threads of one block at different barriers");
				return false;
			}
			fibers[t].state = RUNNING;
		}
	}
}

void launch(const char *name, unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned shared, void (*thread)(const void *), const void *args) {
	kernel = name;
	if (!shared_end) {
		char *p = (char *)mmap(0, SHARED + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED || mprotect(p + SHARED, 4096, PROT_NONE)) abort();
		shared_end = (unsigned char *)p + SHARED;
	}
	blockIdx = dim3{0, 0, 0};
	if (threads == 0 || threads > MAX_THREADS || shared > 227 << 10 || gx == 0 || gy == 0 || gz == 0 || gx > 0x7fffffff || gy > 65535 || gz > 65535) {
		complain("a launch that no device takes");
		return;
	}
	shared_size = (shared + 15) / 16 * 16;
	body = thread;
	arguments = args;
	gridDim = dim3{gx, gy, gz};
	blockDim = dim3{threads, 1, 1};
	threadIdx = dim3{0, 0, 0};
	for (blockIdx.z = 0; blockIdx.z < gz; blockIdx.z++)
		for (blockIdx.y = 0; blockIdx.y < gy; blockIdx.y++)
			for (blockIdx.x = 0; blockIdx.x < gx; blockIdx.x++) {
				if (shared_size > 0) memset(shared_memory(), 0xff, shared_size);
				if (run_block(threads)) continue;
				return; // threads that wait are given up, their stacks with them
			}
}
}
