/* What the stand-ins for NVIDIA's libraries share. */
#ifndef FAKE_H
#define FAKE_H
#include <stddef.h>
#include <stdint.h>

/* What the libraries export; everything else is their own. */
#define API __attribute__((visibility("default")))

/* A stream begins with this function: it runs fn(arg) in the stream's order.
   The other libraries queue their work by it. */
struct fake_stream_head {
	void (*launch)(void *stream, void (*fn)(void *), void *arg);
};

static inline void fake_launch(void *stream, void (*fn)(void *), void *arg) {
	if (stream)
		((struct fake_stream_head *)stream)->launch(stream, fn, arg);
	else
		fn(arg);
}

#endif
