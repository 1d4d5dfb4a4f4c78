#include "stream.h"

#include <stdlib.h>

extern void queuetestLaunch(stream *s, void *fn, void *arg);

static void launch(stream *s, void (*fn)(void *), void *arg) { queuetestLaunch(s, (void *)fn, arg); }

stream *stream_new(uintptr_t queue) {
	stream *s = malloc(sizeof *s);
	if (s) {
		s->launch = launch;
		s->queue = queue;
	}
	return s;
}

void stream_call(void (*fn)(void *), void *arg) { fn(arg); }
