/* Events: places in streams, and when they were reached. */
#include "driver.h"
#include <time.h>

struct event { uint32_t magic; struct stream *in; long at; unsigned flags; double *when; };
static void stamp(void *arg) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	*(double *)arg = t.tv_sec + 1e-9 * t.tv_nsec;
}
API CUresult cuEventCreate(void **out, unsigned flags) {
	CONTEXT();
	struct event *e = calloc(1, sizeof *e);
	e->magic = EVENT;
	e->flags = flags;
	count(&live_events, 1);
	*out = e;
	return OK;
}
API CUresult cuEventRecord(void *event, void *stream) {
	CONTEXT();
	struct event *e = event;
	struct stream *s = stream;
	ARE(e, EVENT);
	ARE(s, STREAM);
	double *when = calloc(1, sizeof *when); /* small, and never freed: a later record may run after this one */
	enqueue(s, stamp, when, 0, 0);
	e->in = s;
	e->at = s->queued;
	e->when = when;
	return OK;
}
API CUresult cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
	CONTEXT();
	struct event *e = event;
	struct stream *s = stream;
	ARE(e, EVENT);
	ARE(s, STREAM);
	if (e->in)
		enqueue(s, 0, 0, e->in, e->at);
	return OK;
}
API CUresult cuEventSynchronize(void *event) {
	CONTEXT();
	struct event *e = event;
	ARE(e, EVENT);
	if (e->in)
		finish(e->in, e->at);
	return broken;
}
API CUresult cuEventQuery(void *event) {
	CONTEXT();
	struct event *e = event;
	ARE(e, EVENT);
	if (e->in && !e->in->threaded) /* nobody else would ever do the work */
		finish(e->in, e->at);
	return !e->in || e->in->done >= e->at ? OK : NOT_READY;
}
API CUresult cuEventElapsedTime(float *ms, void *start, void *end) {
	CONTEXT();
	struct event *a = start, *b = end;
	ARE(a, EVENT);
	ARE(b, EVENT);
	if (!a->in || !b->in || (a->flags | b->flags) & 2)
		return fail(INVALID_HANDLE, "the time of an event that has none");
	if (a->in->done < a->at || b->in->done < b->at)
		return NOT_READY;
	*ms = (float)((*b->when - *a->when) * 1e3);
	return OK;
}
API CUresult cuEventElapsedTime_v2(float *ms, void *start, void *end) { return cuEventElapsedTime(ms, start, end); }
API CUresult cuEventDestroy_v2(void *event) {
	CONTEXT();
	struct event *e = event;
	ARE(e, EVENT);
	e->magic = 0;
	count(&live_events, -1);
	return OK;
}
