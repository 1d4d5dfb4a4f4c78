/* NVRTC without a GPU: CUDA C is compiled for the CPU by g++, with the emulation
   that lies in the folder "device" beside this library. What it gives is an image
   that the fake driver loads: the kernels' names as PTX declares them, and behind
   them the compiled library. Errors have NVRTC's form, "cell.cu(3): error: ...". */
#define _GNU_SOURCE
#include "fake.h"
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OK = 0, INVALID_INPUT = 3, INVALID_PROGRAM = 4, INVALID_OPTION = 5, COMPILATION = 6, INTERNAL = 11 };

struct program { char *source, *name, *log, *image; size_t size; };

API int nvrtcVersion(int *major, int *minor) { *major = 13; *minor = 0; return OK; }
API const char *nvrtcGetErrorString(int code) {
	return code == COMPILATION ? "NVRTC_ERROR_COMPILATION" : code == INVALID_OPTION ? "NVRTC_ERROR_INVALID_OPTION" : code ? "an error of the fake NVRTC" : "NVRTC_SUCCESS";
}
API int nvrtcCreateProgram(void **out, const char *source, const char *name, int headers, const char *const *texts, const char *const *names) {
	if (!source || headers)
		return INVALID_INPUT;
	struct program *p = calloc(1, sizeof *p);
	p->source = strdup(source);
	p->name = strdup(name ? name : "default_program");
	p->log = strdup("");
	*out = p;
	return OK;
}
API int nvrtcDestroyProgram(void **program) {
	struct program *p = *program;
	free(p->source), free(p->name), free(p->log), free(p->image), free(p);
	*program = 0;
	return OK;
}

static char *read_all(const char *path, size_t *size) {
	FILE *f = fopen(path, "rb");
	char *text = 0;
	*size = 0;
	if (f && !fseek(f, 0, SEEK_END)) {
		*size = ftell(f);
		rewind(f);
		text = calloc(1, *size + 1);
		*size = fread(text, 1, *size, f);
	}
	if (f)
		fclose(f);
	return text;
}

/* run runs a program with its messages in a file. */
static int run(char *const argv[], const char *log) {
	posix_spawn_file_actions_t to;
	posix_spawn_file_actions_init(&to);
	posix_spawn_file_actions_addopen(&to, 2, log, 0x241 /* write, create, truncate */, 0600);
	extern char **environ;
	pid_t pid;
	int status = posix_spawnp(&pid, argv[0], &to, 0, argv, environ);
	posix_spawn_file_actions_destroy(&to);
	while (!status && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		status = 0;
	return status;
}

/* each_kernel writes about every kernel that a text defines. */
static void each_kernel(FILE *f, const char *source, const char *format) {
	for (const char *p = source; (p = strstr(p, "__global__")); ) {
		const char *end = strchr(p, '('), *bounds = strstr(p, "__launch_bounds__");
		if (end && bounds && bounds < end)
			end = strchr(end + 1, '(');
		if (!end)
			return;
		const char *last = end;
		while (last > p && isspace((unsigned char)last[-1]))
			last--;
		const char *first = last;
		while (first > p && (isalnum((unsigned char)first[-1]) || first[-1] == '_'))
			first--;
		fprintf(f, format, (int)(last - first), first);
		p = end;
	}
}

/* words turns g++'s "NAME:3:20: error: ..." into "NAME(3): error: ...". */
static char *words(const char *log, const char *name) {
	char *out = 0, *copy = strdup(log), *rest = 0;
	size_t size, n = strlen(name);
	FILE *f = open_memstream(&out, &size);
	for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(0, "\n", &rest)) {
		int at, column, used = 0;
		if (!strncmp(line, name, n) && sscanf(line + n, ":%d:%d: %n", &at, &column, &used) == 2 && used)
			fprintf(f, "%s(%d): %s\n", name, at, line + n + used);
		else
			fprintf(f, "%s\n", line);
	}
	fclose(f);
	free(copy);
	return out;
}

static int compile(struct program *p, const char *dir, const char *device) {
	char unit[512], so[512], log[512], include[512], scheduler[512];
	snprintf(unit, sizeof unit, "%s/unit.cc", dir);
	snprintf(so, sizeof so, "%s/unit.so", dir);
	snprintf(log, sizeof log, "%s/log", dir);
	snprintf(include, sizeof include, "-I%s", device);
	snprintf(scheduler, sizeof scheduler, "%s/emulate.cc", device);
	FILE *f = fopen(unit, "w");
	if (!f)
		return INTERNAL;
	fprintf(f, "#include \"emulate.h\"\n#line 1 \"%s\"\n%s\n#line 1 \"exports\"\n", p->name, p->source);
	each_kernel(f, p->source, "EMULATED(%.*s)\n");
	fclose(f);
	char *argv[] = {"g++", "-std=c++17", "-O1", "-fPIC", "-shared", "-ffp-contract=off", "-fno-strict-aliasing", "-w", "-fno-diagnostics-show-caret", include, unit, scheduler, "-o", so, 0};
	int failed = run(argv, log);
	size_t size;
	char *said = read_all(log, &size);
	free(p->log);
	p->log = words(said ? said : "", p->name);
	free(said);
	if (failed)
		return COMPILATION;
	char *library = read_all(so, &size), *names = 0;
	size_t length;
	f = open_memstream(&names, &length);
	fprintf(f, "//fake library %zu\n", size);
	each_kernel(f, p->source, ".entry %.*s(\n");
	fclose(f);
	p->size = length + 1 + size; /* the names end with a NUL */
	p->image = malloc(p->size);
	memcpy(p->image, names, length + 1);
	memcpy(p->image + length + 1, library, size);
	free(names);
	free(library);
	return OK;
}

API int nvrtcCompileProgram(void *program, int n, const char *const *options) {
	struct program *p = program;
	int architecture = 0;
	for (int i = 0; i < n; i++)
		architecture |= !strncmp(options[i], "--gpu-architecture=sm_", 22);
	Dl_info here;
	if (!architecture || !dladdr((void *)nvrtcCompileProgram, &here))
		return INVALID_OPTION;
	char device[400], dir[] = P_tmpdir "/nvrtcXXXXXX", path[64];
	snprintf(device, sizeof device, "%s", here.dli_fname);
	char *slash = strrchr(device, '/');
	snprintf(slash ? slash + 1 : device, 8, "device");
	if (!mkdtemp(dir))
		return INTERNAL;
	int code = compile(p, dir, device);
	const char *made[] = {"unit.cc", "unit.so", "log"};
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, made[i]);
		unlink(path);
	}
	rmdir(dir);
	return code;
}
API int nvrtcGetProgramLogSize(void *program, size_t *size) { *size = strlen(((struct program *)program)->log) + 1; return OK; }
API int nvrtcGetProgramLog(void *program, char *log) { strcpy(log, ((struct program *)program)->log); return OK; }
API int nvrtcGetCUBINSize(void *program, size_t *size) { *size = ((struct program *)program)->size; return *size ? OK : INVALID_PROGRAM; }
API int nvrtcGetCUBIN(void *program, char *image) {
	struct program *p = program;
	memcpy(image, p->image, p->size);
	return OK;
}
