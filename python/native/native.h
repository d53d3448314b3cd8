/*
 * virtualshell._native: libzcb's sessions, bridges, results and leases as Python objects.
 *
 * Conventions
 *   Exceptions  A function that returns bool or a pointer has set a Python exception when it returns
 *               false or NULL.
 *   The GIL     is released around every libzcb call that may take a lock, not only around calls
 *               that wait. A waiting thread may hold such a lock when a signal makes it ask for the
 *               GIL (native_wait).
 *   Lifetime    X_close of libzcb may run at any time. X_free runs as soon as the object was closed and
 *               no call is running in it. Each call notes that under the GIL (X_enter, X_leave). So a
 *               closed object holds nothing, however long Python keeps it, in a traceback for example.
 *   State       An object keeps its type alive, and the type keeps its module alive. So an object's
 *               pointer to the module's state is valid as long as the object.
 */
#ifndef NATIVE_H
#define NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include <zcb/zcb.h>

#if PY_VERSION_HEX < 0x030C0000
#include <structmember.h>
#define Py_T_BOOL T_BOOL
#define Py_T_OBJECT_EX T_OBJECT_EX
#define Py_T_UINT T_UINT
#define Py_T_PYSSIZET T_PYSSIZET
#define Py_READONLY READONLY
#endif

#if PY_VERSION_HEX < 0x030A0000
#define Py_TPFLAGS_IMMUTABLETYPE 0UL
#define Py_TPFLAGS_DISALLOW_INSTANTIATION 0UL
#endif

/* Function pointers in the form of the API's tables, without a warning of a pedantic compiler. */
#define NATIVE_SLOT(function) ((void *)(uintptr_t)(function))
#define NATIVE_METHOD(function) ((PyCFunction)(void (*)(void))(function))

typedef struct native_state {
    PyTypeObject *allocation;
    PyTypeObject *bridge;
    PyTypeObject *clixml;
    PyTypeObject *lease;
    PyTypeObject *result;
    PyTypeObject *session;
    PyObject *error;
    PyObject *timeout;       /* an error and a TimeoutError */
    PyObject *out_of_memory; /* an error and a MemoryError */
} native_state;

typedef struct SessionObject {
    PyObject_HEAD native_state *state;
    zcb_session *session; /* NULL once it was given back */
    unsigned calls;       /* that are running in it */
    bool closed;
    bool owes;      /* there may be results that `next` is still to give */
    zcb_detail why; /* it has ended; set when it is closed */
    PyObject *engine;
    PyObject *pid;
    PyObject *version;
    PyObject *weak_references;
} SessionObject;

extern PyType_Spec native_allocation_spec;
extern PyType_Spec native_bridge_spec;
extern PyType_Spec native_clixml_spec;
extern PyType_Spec native_lease_spec;
extern PyType_Spec native_result_spec;
extern PyType_Spec native_session_spec;

/* ---------------------------------------------------------------- arguments */

#define NATIVE_MOST_PARAMETERS 3

/* The parameters of a method; the first `required` have no default. */
typedef struct native_signature {
    const char *function;
    Py_ssize_t required;
    Py_ssize_t count;
    const char *names[NATIVE_MOST_PARAMETERS];
} native_signature;

/* Sorts the arguments of a METH_FASTCALL | METH_KEYWORDS call into `values`, as borrowed references.
 * NULL stands for an argument that is not given. */
bool native_arguments(const native_signature *signature, PyObject *const *args, Py_ssize_t count,
                      PyObject *keywords, PyObject *values[NATIVE_MOST_PARAMETERS]);
/* The UTF-8 of a str; lives as long as the str. */
const char *native_text(PyObject *value, const char *name, size_t *bytes);
bool native_unsigned(PyObject *value, const char *name, uint64_t least, uint64_t most,
                     uint64_t *number);
/* Seconds; infinity for NULL, None and inf. */
bool native_timeout(PyObject *value, const char *name, double *seconds);
/* As native_timeout, but None is a TypeError; NULL gives `otherwise`. */
bool native_seconds(PyObject *value, const char *name, double otherwise, double *seconds);

/* The environment of a session, as zcb_session_options needs it, and the objects that own it. */
typedef struct native_environment {
    const char **entries; /* NULL-terminated; NULL for none */
    PyObject *owner;
} native_environment;

/* From None, or from a mapping of names to values. The value None removes the name. */
bool native_environment_make(PyObject *mapping, native_environment *environment);
void native_environment_free(native_environment *environment);

/* ---------------------------------------------------------------- waiting */

int64_t native_timeout_ms(double seconds);
/* As native_timeout_ms, but infinity is a number too. */
int64_t native_grace_ms(double seconds);
int64_t native_deadline_ns(double seconds);

/* A period without the GIL. On the main thread, signal handlers run during it. If a handler raises, the
 * call returns ZCB_ERR_INTERRUPTED with the exception set. */
typedef struct native_wait {
    zcb_wait wait;
    PyThreadState *thread;
    bool raised;                     /* a signal handler has raised */
    const void *turn;                /* identifies the lock that the call waits for */
    const struct native_wait *outer; /* the wait that this one's signal handler interrupted */
} native_wait;

bool native_wait_setup(void);
/* Releases the GIL. `wait` must stay where it is until native_wait_end. */
bool native_wait_begin(native_state *state, native_wait *wait, const void *turn,
                       int64_t deadline_ns);
/* Take the GIL for a moment, and release it again. */
void native_wait_pause(native_wait *wait);
void native_wait_resume(native_wait *wait);
/* Takes the GIL. Returns `error`, or ZCB_ERR_INTERRUPTED if a signal handler has raised. */
zcb_error native_wait_end(native_wait *wait, zcb_error error);

/* ---------------------------------------------------------------- errors */

/* Makes the types of the exceptions. */
bool native_errors_create(native_state *state);
/* Raises the exception for `error`, unless one is already set. Always returns NULL. `detail` may be
 * NULL or empty. */
PyObject *native_raise(native_state *state, zcb_error error, const char *detail);
/* The same with a text in front. */
PyObject *native_raise_in(native_state *state, const char *doing, zcb_error error,
                          const char *detail);
/* ZCB_ERR_REFUSED by this posted receive. */
PyObject *native_raise_refused(native_state *state, uint64_t id);
/* With this text instead of libzcb's. Takes the reference to it, which may be NULL with an exception set. */
PyObject *native_raise_text(native_state *state, zcb_error error, PyObject *text);
/* ZCB_ERR_TIMEOUT: what was waited for, "within N s", and what to do. Takes the reference to `what`,
 * which may be NULL with an exception set. */
PyObject *native_raise_timeout(native_state *state, PyObject *what, double seconds,
                               const char *advice);

/* ---------------------------------------------------------------- objects */

/* A call on the session begins; false when it was given back. */
bool native_session_enter(SessionObject *self);
/* It is over; the last one gives back a session that was closed. Releases the GIL. */
void native_session_leave(SessionObject *self);
/* Raises the exception for `error`. If the session has ended, the text says why. */
PyObject *native_session_raise(SessionObject *self, zcb_error error);
/* tp_traverse of objects that refer to their type only. */
int native_traverse_type(PyObject *self, visitproc visit, void *arg);

/* A Result to be filled: `into`, which must be empty, or a new one if `into` is NULL. */
PyObject *native_result_empty(native_state *state, PyObject *into);
/* Takes the zcb_result. */
void native_result_fill(PyObject *empty, zcb_result *result);

/* A CliXml of `bytes` bytes, which are not initialized. */
PyObject *native_clixml_allocate(native_state *state, Py_ssize_t bytes);

/* Takes ownership of the block, even on failure. */
PyObject *native_allocation_wrap(native_state *state, zcb_block *block);

/* A received message: a lease, or a private copy from PyMem_RawMalloc. */
typedef struct native_block {
    zcb_lease *lease;
    void *copy;
    size_t bytes;
} native_block;

/* Takes ownership of the block, even on failure. */
PyObject *native_lease_wrap(native_state *state, uint32_t kind, native_block *block);
/* Needs no GIL. */
void native_block_free(native_block *block);
/* The kind of a Lease, or 0 for another object. */
uint32_t native_lease_kind(native_state *state, PyObject *object);

/* The __reduce__ of shared memory. */
PyObject *native_refuse_copy(PyObject *self, PyObject *ignored);

/* Data to be sent. The buffer is exported until native_payload_release. */
typedef struct native_payload {
    Py_buffer view;
    uint32_t kind;
} native_payload;

/* `kind` as Bridge.send takes it; NULL for the kind of the object itself. */
bool native_payload_acquire(native_state *state, PyObject *data, PyObject *kind,
                            native_payload *payload);
void native_payload_release(native_payload *payload);

#endif
