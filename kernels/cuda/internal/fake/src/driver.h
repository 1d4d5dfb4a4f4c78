/* The parts of the fake driver. See device.c for what it stands in for. */
#ifndef DRIVER_H
#define DRIVER_H
#define _GNU_SOURCE
#include "fake.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;

enum {
	OK = 0, INVALID_VALUE = 1, NO_MEMORY = 2, INVALID_DEVICE = 101, INVALID_IMAGE = 200, INVALID_CONTEXT = 201,
	PEER_ALREADY = 704, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700, OUT_OF_RESOURCES = 701
};
enum { STREAM = 0x57e4, EVENT = 0xe7e4, MODULE = 0x30d, FUNCTION = 0xf0c, CONTEXT_MAGIC = 0xc0e };
enum { MOST_DEVICES = 16 };

extern pthread_mutex_t lock;    /* of everything here */
extern pthread_cond_t changed;  /* a stream has got or done work */
extern CUresult broken;         /* a failure of queued work: every later call answers it */

/* fail remembers the first thing that went wrong, for cuGetErrorString. */
CUresult fail(CUresult code, const char *what);
long setting(const char *name, long otherwise);

struct context { uint32_t magic; int device; long users; };
extern __thread struct context *current;
#define CONTEXT() do { if (broken) return broken; if (!current) return fail(INVALID_CONTEXT, "a call without a context"); } while (0)
#define ARE(p, kind) if (!(p) || (p)->magic != kind) return fail(INVALID_HANDLE, "a handle that is gone: " #p)

/* Memory. Device memory stays in its list when it is freed: its addresses are
   never used again. */
struct range { uintptr_t at; size_t size; int device; int freed; struct range *next; };
extern struct range *ranges, *pinned;
/* find needs the lock. */
struct range *find(struct range *list, uintptr_t p, size_t n);
/* usable is an error unless n bytes at p may be copied. */
CUresult usable(CUdeviceptr p, size_t n);

struct op { void (*fn)(void *); void *arg; struct stream *waits; long until; struct op *next; };
struct stream {
	struct fake_stream_head head;
	uint32_t magic;
	struct context *ctx;
	struct op *first, **last;
	long queued, done;
	int running, stop, threaded;
	pthread_t worker;
};
/* enqueue adds fn(arg), or a wait until another stream has done so many. */
void enqueue(struct stream *s, void (*fn)(void *), void *arg, struct stream *waits, long until);
/* finish runs a stream until it has done n operations. */
void finish(struct stream *s, long n);

/* What is held, for fake_report. */
extern long live_ranges, live_pinned, live_streams, live_events, live_modules;
void count(long *what, long change);

#endif
