/* Streams: queues of work, done in order. */
#include "driver.h"

/* Runs s until it has done n operations; the lock is held. */
static void drive(struct stream *s, long n) {
	while (s->done < n) {
		if (s->running) {
			pthread_cond_wait(&changed, &lock);
			continue;
		}
		struct op *o = s->first;
		if (!o)
			return;
		s->running = 1;
		if (!(s->first = o->next))
			s->last = &s->first;
		if (o->waits)
			drive(o->waits, o->until);
		pthread_mutex_unlock(&lock);
		if (o->fn)
			o->fn(o->arg);
		free(o);
		pthread_mutex_lock(&lock);
		s->running = 0;
		s->done++;
		pthread_cond_broadcast(&changed);
	}
}
static void *work(void *arg) {
	struct stream *s = arg;
	pthread_mutex_lock(&lock);
	while (!s->stop || s->first) {
		if (s->first)
			drive(s, s->done + 1);
		else
			pthread_cond_wait(&changed, &lock);
	}
	pthread_mutex_unlock(&lock);
	return 0;
}
void enqueue(struct stream *s, void (*fn)(void *), void *arg, struct stream *waits, long until) {
	struct op *o = malloc(sizeof *o);
	*o = (struct op){fn, arg, waits, until, 0};
	pthread_mutex_lock(&lock);
	*s->last = o;
	s->last = &o->next;
	s->queued++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}
static void launch(void *stream, void (*fn)(void *), void *arg) { enqueue(stream, fn, arg, 0, 0); }

void finish(struct stream *s, long n) {
	pthread_mutex_lock(&lock);
	drive(s, n);
	pthread_mutex_unlock(&lock);
}
static int lazy(void) { return setting("FAKE_CUDA_LAZY", 0) != 0; }

API CUresult cuStreamCreateWithPriority(void **out, unsigned flags, int priority) {
	CONTEXT();
	struct stream *s = calloc(1, sizeof *s);
	s->head.launch = launch;
	s->magic = STREAM;
	s->ctx = current;
	s->last = &s->first;
	s->threaded = !lazy();
	if (s->threaded)
		pthread_create(&s->worker, 0, work, s);
	count(&live_streams, 1);
	*out = s;
	return OK;
}
API CUresult cuStreamCreate(void **out, unsigned flags) { return cuStreamCreateWithPriority(out, flags, 0); }
API CUresult cuStreamSynchronize(void *stream) {
	CONTEXT();
	struct stream *s = stream;
	ARE(s, STREAM);
	finish(s, s->queued);
	return broken;
}
API CUresult cuStreamQuery(void *stream) {
	CONTEXT();
	struct stream *s = stream;
	ARE(s, STREAM);
	return s->done == s->queued ? OK : NOT_READY;
}
API CUresult cuStreamDestroy_v2(void *stream) {
	CONTEXT();
	struct stream *s = stream;
	ARE(s, STREAM);
	finish(s, s->queued);
	if (s->threaded) {
		pthread_mutex_lock(&lock);
		s->stop = 1;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
		pthread_join(s->worker, 0);
	}
	s->magic = 0; /* kept, so that a later use is seen */
	count(&live_streams, -1);
	return OK;
}
