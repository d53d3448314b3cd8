/* Waiting without the GIL: deadlines, and Python's signal handlers on the main thread. */
#include "native.h"

#include <math.h>

#ifdef _WIN32
#include <windows.h>
#else
#include <pthread.h>
#endif

#ifdef _WIN32
/* CPython's own: a manual-reset event, set by Ctrl-C after the signal was noted for PyErr_CheckSignals. Exported by
 * all versions, declared in no public header (Include/internal/pycore_signal.h). */
PyAPI_FUNC(void *) _PyOS_SigintEvent(void);
#endif

/* A longer timeout means no limit. 68 years, far inside the range of int64_t nanoseconds. */
#define MOST_SECONDS 2147483647.0

/* Only the main thread runs signal handlers, so only its waits look for them. This is one variable for
 * the process, not one per module: all interpreters have the same main thread. */
static unsigned long main_thread;

/* The waits of the main thread: more than one if a signal handler waits, too. Only the main thread
 * touches this list. */
static const native_wait *main_waits;

int64_t native_grace_ms(double seconds)
{
    return (int64_t)ceil((seconds > MOST_SECONDS ? MOST_SECONDS : seconds) * 1e3);
}

int64_t native_timeout_ms(double seconds)
{
    return seconds > MOST_SECONDS ? ZCB_FOREVER : (int64_t)ceil(seconds * 1e3);
}

int64_t native_deadline_ns(double seconds)
{
    if (seconds > MOST_SECONDS)
        return ZCB_NEVER;
    return seconds > 0 ? zcb_now_ns() + (int64_t)ceil(seconds * 1e9) : 0;
}

#ifndef _WIN32
/* In a forked child the thread that called fork() is the main thread. */
static void set_main_thread(void)
{
    main_thread = PyThread_get_thread_ident();
}
#endif

static bool find_main_thread(void)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *thread = threading ? PyObject_CallMethod(threading, "main_thread", NULL) : NULL;
    PyObject *ident = thread ? PyObject_GetAttrString(thread, "ident") : NULL;
    if (ident)
        main_thread = PyLong_AsUnsignedLongMask(ident);
    Py_XDECREF(ident);
    Py_XDECREF(thread);
    Py_XDECREF(threading);
    return !PyErr_Occurred();
}

bool native_wait_setup(void)
{
    /* The other interpreters run no signal handlers. */
    if (main_thread || PyInterpreterState_Get() != PyInterpreterState_Main())
        return true;
#ifndef _WIN32
    if (pthread_atfork(NULL, NULL, set_main_thread)) {
        PyErr_NoMemory();
        return false;
    }
#endif
    return find_main_thread();
}

/* The callback of zcb_wait. A signal handler that raises ends the wait. */
static int run_signal_handlers(void *arg)
{
    native_wait *wait = arg;
    if (!wait->raised) {
#ifdef _WIN32
        ResetEvent(wait->wait.interrupt_event);
#endif
        PyEval_RestoreThread(wait->thread);
        wait->raised = PyErr_CheckSignals() < 0;
        wait->thread = PyEval_SaveThread();
    }
    return wait->raised;
}

/* A signal handler that waits for a lock which its own thread has would wait for ever. */
static bool begin_on_main(native_state *state, native_wait *wait)
{
    for (const native_wait *outer = main_waits; outer; outer = outer->outer) {
        if (outer->turn == wait->turn) {
            native_raise_text(state, ZCB_ERR_INTERRUPTED,
                              PyUnicode_FromString("a signal handler cannot make this call: it "
                                                   "would wait for the call that it has "
                                                   "interrupted"));
            return false;
        }
    }
    wait->wait.interrupted = run_signal_handlers;
#ifdef _WIN32
    wait->wait.interrupt_event = _PyOS_SigintEvent();
#endif
    wait->outer = main_waits;
    main_waits = wait;
    return true;
}

bool native_wait_begin(native_state *state, native_wait *wait, const void *turn,
                       int64_t deadline_ns)
{
    *wait = (native_wait){.wait = {.deadline_ns = deadline_ns, .arg = wait}, .turn = turn};
    if (PyThread_get_thread_ident() == main_thread && !begin_on_main(state, wait))
        return false;
    wait->thread = PyEval_SaveThread();
    return true;
}

void native_wait_pause(native_wait *wait)
{
    PyEval_RestoreThread(wait->thread);
}

void native_wait_resume(native_wait *wait)
{
    wait->thread = PyEval_SaveThread();
}

zcb_error native_wait_end(native_wait *wait, zcb_error error)
{
    PyEval_RestoreThread(wait->thread);
    if (wait->wait.interrupted)
        main_waits = wait->outer;
    return !error && wait->raised ? ZCB_ERR_INTERRUPTED : error;
}
