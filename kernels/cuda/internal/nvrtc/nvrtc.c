#include "nvrtc.h"
#include <stdlib.h>

int rtc_version(rtc_library *lib, int *major, int *minor) { return lib->version(major, minor); }
const char *rtc_text(rtc_library *lib, int code) { return lib->text(code); }

int rtc_compile(rtc_library *lib, const char *name, const char *source, int options, char **argv, rtc_result *r) {
	void *program = 0;
	size_t size = 0;
	*r = (rtc_result){0};
	int code = lib->create(&program, source, name, 0, 0, 0);
	if (code)
		return code;
	code = lib->compile(program, options, (const char *const *)argv);
	if (!lib->log_size(program, &size) && (r->log = calloc(1, size + 1)))
		lib->log(program, r->log);
	if (!code)
		code = lib->cubin_size(program, &r->size);
	if (!code && (r->image = malloc(r->size + 1)))
		code = lib->cubin(program, r->image);
	lib->destroy(&program);
	return code;
}

void rtc_release(rtc_result *r) {
	free(r->log);
	free(r->image);
	*r = (rtc_result){0};
}
