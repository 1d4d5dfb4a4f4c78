/* Copies and fills, queued on streams. */
#include "driver.h"

struct copy { void *dst, *src, *owned; size_t n; int value; };
static void do_copy(void *arg) {
	struct copy *c = arg;
	if (c->src)
		memmove(c->dst, c->src, c->n);
	else
		memset(c->dst, c->value, c->n);
	free(c->owned);
	free(c);
}
static CUresult copy(void *stream, void *dst, void *src, void *owned, size_t n, int value) {
	struct stream *s = stream;
	ARE(s, STREAM);
	struct copy *c = malloc(sizeof *c);
	*c = (struct copy){dst, src, owned, n, value};
	enqueue(s, do_copy, c, 0, 0);
	return OK;
}
API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t n, void *stream) {
	CONTEXT();
	CUresult code = usable(dst, n);
	if (code)
		return code;
	pthread_mutex_lock(&lock);
	int locked = find(pinned, (uintptr_t)src, n) != 0;
	pthread_mutex_unlock(&lock);
	void *owned = 0;
	if (!locked) /* the driver copies memory that is not locked before it returns */
		src = owned = memcpy(malloc(n + 1), src, n);
	return copy(stream, (void *)dst, (void *)src, owned, n, 0);
}
API CUresult cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t n, void *stream) {
	CONTEXT();
	CUresult code = usable(src, n);
	return code ? code : copy(stream, dst, (void *)src, 0, n, 0);
}
API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t n, void *stream) {
	CONTEXT();
	CUresult code = usable(dst, n);
	if (!code)
		code = usable(src, n);
	return code ? code : copy(stream, (void *)dst, (void *)src, 0, n, 0);
}
API CUresult cuMemcpyPeerAsync(CUdeviceptr dst, void *to, CUdeviceptr src, void *from, size_t n, void *stream) {
	return cuMemcpyDtoDAsync_v2(dst, src, n, stream);
}
API CUresult cuMemsetD8Async(CUdeviceptr dst, unsigned char value, size_t n, void *stream) {
	CONTEXT();
	CUresult code = usable(dst, n);
	return code ? code : copy(stream, (void *)dst, 0, 0, n, value);
}
