#ifndef QUEUETEST_STREAM_H
#define QUEUETEST_STREAM_H

#include <stdint.h>

// What a queue's handle points to. Its first word is how libraries hand work
// to it: fn(arg) is called when everything before it is done. The tests' own
// NCCL knows no more than that.
typedef struct stream {
	void (*launch)(struct stream *s, void (*fn)(void *), void *arg);
	uintptr_t queue;
} stream;

stream *stream_new(uintptr_t queue);
void stream_call(void (*fn)(void *), void *arg);

#endif
