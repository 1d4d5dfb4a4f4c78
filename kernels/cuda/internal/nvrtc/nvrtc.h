#include <stddef.h>

typedef struct {
	int (*version)(int *major, int *minor);
	int (*create)(void **program, const char *source, const char *name, int headers, const char **texts, const char **names);
	int (*compile)(void *program, int options, const char *const *argv);
	int (*destroy)(void **program);
	int (*log_size)(void *program, size_t *size);
	int (*log)(void *program, char *text);
	int (*cubin_size)(void *program, size_t *size);
	int (*cubin)(void *program, char *image);
	const char *(*text)(int code);
} rtc_library; // functions in the order of their names in nvrtc.go

// What a compilation gives; both are freed by rtc_release.
typedef struct {
	char *log, *image;
	size_t size;
} rtc_result;

int rtc_version(rtc_library *lib, int *major, int *minor);
int rtc_compile(rtc_library *lib, const char *name, const char *source, int options, char **argv, rtc_result *result);
const char *rtc_text(rtc_library *lib, int code);
void rtc_release(rtc_result *result);
