#include "nccl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { sum = 0 };

nccl_library *nccl_open(const char *path, char *why, size_t size) {
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		snprintf(why, size, "%s", dlerror());
		return NULL;
	}
	nccl_library *l = calloc(1, sizeof *l);
	if (!l) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	l->handle = handle;
	const struct {
		const char *name;
		void **slot;
	} functions[] = {
#define F(f) {"nccl" #f, (void **)&l->f}
		F(GetVersion), F(GetUniqueId), F(CommInitRankConfig), F(CommDestroy), F(CommAbort), F(CommGetAsyncError),
		F(GetErrorString), F(GetLastError), F(GroupStart), F(GroupEnd), F(AllGather), F(ReduceScatter), F(AllReduce),
		F(Broadcast), F(Reduce),
#undef F
	};
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		*functions[i].slot = dlsym(handle, functions[i].name);
		if (!*functions[i].slot) {
			snprintf(why, size, "%s: no %s in it: NCCL 2.14 or newer is needed", path, functions[i].name);
			free(l);
			dlclose(handle);
			return NULL;
		}
	}
	return l;
}

int nccl_version(nccl_library *l, int *version) { return l->GetVersion(version); }

int nccl_unique_id(nccl_library *l, nccl_id *id) { return l->GetUniqueId(id); }

int nccl_init(nccl_library *l, nccl_comm *comm, int size, const nccl_id *id, int rank) {
	nccl_config config = {.size = sizeof config, .magic = 0xcafebeef, .version = 21400, .blocking = 0};
	return l->CommInitRankConfig(comm, size, *id, rank, &config);
}

static int one(nccl_library *l, nccl_comm comm, const nccl_op *op, void *stream) {
	switch (op->kind) {
	case nccl_all_gather:
		return l->AllGather(op->send, op->recv, op->count, op->type, comm, stream);
	case nccl_reduce_scatter:
		return l->ReduceScatter(op->send, op->recv, op->count, op->type, sum, comm, stream);
	case nccl_all_reduce:
		return l->AllReduce(op->send, op->recv, op->count, op->type, sum, comm, stream);
	case nccl_broadcast:
		return l->Broadcast(op->send, op->recv, op->count, op->type, op->root, comm, stream);
	default:
		return l->Reduce(op->send, op->recv, op->count, op->type, sum, op->root, comm, stream);
	}
}

int nccl_run(nccl_library *l, nccl_comm comm, const nccl_op *ops, int n, void *stream) {
	int code = l->GroupStart();
	if (code != nccl_success) {
		return code;
	}
	for (int i = 0; i < n; i++) {
		int c = one(l, comm, &ops[i], stream);
		if (c != nccl_success && c != nccl_in_progress && code == nccl_success) {
			code = c;
		}
	}
	int end = l->GroupEnd();
	return code != nccl_success ? code : end;
}

int nccl_state(nccl_library *l, nccl_comm comm, int *state) { return l->CommGetAsyncError(comm, state); }

int nccl_abort(nccl_library *l, nccl_comm comm) { return l->CommAbort(comm); }

int nccl_destroy(nccl_library *l, nccl_comm comm) { return l->CommDestroy(comm); }

const char *nccl_error(nccl_library *l, int code) { return l->GetErrorString(code); }

const char *nccl_last_error(nccl_library *l, nccl_comm comm) { return l->GetLastError(comm); }
