#ifndef DPOLAB_NCCL_H
#define DPOLAB_NCCL_H

#include <stddef.h>

// The part of NCCL's interface that is used, written from its documentation:
// no header of NVIDIA's is needed to build. Values are part of its ABI.

typedef struct {
	char internal[128];
} nccl_id;

typedef void *nccl_comm;

// nccl_config is ncclConfig_t as of NCCL 2.14, which later ones still take; the
// fields they have added get their defaults.
typedef struct {
	size_t size;
	unsigned int magic;
	unsigned int version;
	int blocking;
} nccl_config;

enum { nccl_success = 0, nccl_in_progress = 7 };

enum { nccl_all_gather, nccl_reduce_scatter, nccl_all_reduce, nccl_broadcast, nccl_reduce };

// nccl_op is one collective of a group. count is what NCCL's function takes:
// elements sent for an all-gather, received for a reduce-scatter.
typedef struct {
	const void *send;
	void *recv;
	size_t count;
	int kind, type, root;
} nccl_op;

// nccl_library holds the functions of a loaded library.
typedef struct {
	void *handle;
	int (*GetVersion)(int *);
	int (*GetUniqueId)(nccl_id *);
	int (*CommInitRankConfig)(nccl_comm *, int, nccl_id, int, nccl_config *);
	int (*CommDestroy)(nccl_comm);
	int (*CommAbort)(nccl_comm);
	int (*CommGetAsyncError)(nccl_comm, int *);
	const char *(*GetErrorString)(int);
	const char *(*GetLastError)(nccl_comm);
	int (*GroupStart)(void);
	int (*GroupEnd)(void);
	int (*AllGather)(const void *, void *, size_t, int, nccl_comm, void *);
	int (*ReduceScatter)(const void *, void *, size_t, int, int, nccl_comm, void *);
	int (*AllReduce)(const void *, void *, size_t, int, int, nccl_comm, void *);
	int (*Broadcast)(const void *, void *, size_t, int, int, nccl_comm, void *);
	int (*Reduce)(const void *, void *, size_t, int, int, int, nccl_comm, void *);
} nccl_library;

// nccl_open loads the library at path. It returns NULL and puts the reason into
// why, size bytes long, if that fails or a function is missing.
nccl_library *nccl_open(const char *path, char *why, size_t size);

int nccl_version(nccl_library *l, int *version);
int nccl_unique_id(nccl_library *l, nccl_id *id);
// nccl_init begins to make a communicator that never blocks the caller.
int nccl_init(nccl_library *l, nccl_comm *comm, int size, const nccl_id *id, int rank);
// nccl_run hands n collectives to a stream as one group.
int nccl_run(nccl_library *l, nccl_comm comm, const nccl_op *ops, int n, void *stream);
int nccl_state(nccl_library *l, nccl_comm comm, int *state);
int nccl_abort(nccl_library *l, nccl_comm comm);
int nccl_destroy(nccl_library *l, nccl_comm comm);
const char *nccl_error(nccl_library *l, int code);
const char *nccl_last_error(nccl_library *l, nccl_comm comm);

#endif
