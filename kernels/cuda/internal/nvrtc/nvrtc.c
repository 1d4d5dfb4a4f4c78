#define _GNU_SOURCE
#include "nvrtc.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int rtc_load(rtc_library *lib, const char *path, char *message, int size) {
	void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!so) {
		snprintf(message, size, "%s", dlerror());
		return -1;
	}
	const struct { const char *name; void **to; } names[] = {
		{"nvrtcVersion", (void **)&lib->version},
		{"nvrtcCreateProgram", (void **)&lib->create},
		{"nvrtcCompileProgram", (void **)&lib->compile},
		{"nvrtcDestroyProgram", (void **)&lib->destroy},
		{"nvrtcGetProgramLogSize", (void **)&lib->log_size},
		{"nvrtcGetProgramLog", (void **)&lib->log},
		{"nvrtcGetCUBINSize", (void **)&lib->cubin_size},
		{"nvrtcGetCUBIN", (void **)&lib->cubin},
		{"nvrtcGetErrorString", (void **)&lib->text},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!(*names[i].to = dlsym(so, names[i].name))) {
			snprintf(message, size, "%s: no function %s", path, names[i].name);
			return -1;
		}
	return 0;
}

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
