/* Session: a live PowerShell engine. */
#include "native.h"

#include <math.h>

int native_traverse_type(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

/* ---------------------------------------------------------------- start and end */

static void dispose(zcb_session *session)
{
    Py_BEGIN_ALLOW_THREADS
    zcb_session_close(session, 0);
    zcb_session_free(session);
    Py_END_ALLOW_THREADS
}

/* Takes the session, also on failure. */
static PyObject *wrap(PyTypeObject *type, native_state *state, zcb_session *session)
{
    SessionObject *self = (SessionObject *)type->tp_alloc(type, 0);
    if (!self) {
        dispose(session);
        return NULL;
    }
    const char *version = zcb_session_version(session);
    self->state = state;
    self->session = session;
    self->engine = PyUnicode_DecodeFSDefault(zcb_session_engine(session));
    self->pid = PyLong_FromLongLong(zcb_session_pid(session));
    self->version = PyUnicode_DecodeUTF8(version, (Py_ssize_t)strlen(version), "replace");
    if (!self->engine || !self->pid || !self->version)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *start(PyTypeObject *type, const zcb_session_options *options, double start_timeout)
{
    native_state *state = PyType_GetModuleState(type);
    zcb_session *session = NULL;
    zcb_detail why = {{0}};
    native_wait wait;
    if (!native_wait_begin(state, &wait, &session, native_deadline_ns(start_timeout)))
        return NULL;
    zcb_error error = zcb_session_start(options, &session, &why, &wait.wait);
    if (wait.raised && session)
        zcb_session_free(session);
    error = native_wait_end(&wait, error);
    if (error == ZCB_ERR_TIMEOUT && !PyErr_Occurred())
        return native_raise_timeout(state,
                                    PyUnicode_FromFormat("PowerShell did not start (%s)", why.text),
                                    start_timeout, "Give it a longer start_timeout.");
    return error ? native_raise(state, error, why.text) : wrap(type, state, session);
}

typedef struct start_arguments {
    PyObject *engine; /* bytes, as the next two; NULL for None */
    PyObject *module;
    PyObject *working_directory;
    PyObject *environment;   /* borrowed */
    PyObject *width;         /* borrowed */
    PyObject *start_timeout; /* borrowed */
    PyObject *grace;         /* borrowed */
} start_arguments;

/* An "O&" converter: a path as bytes, or NULL for None. */
static int convert_path(PyObject *value, void *address)
{
    PyObject **path = address;
    if (!value) {
        Py_CLEAR(*path);
        return 1;
    }
    return value == Py_None ? Py_CLEANUP_SUPPORTED : PyUnicode_FSConverter(value, path);
}

static bool parse(PyObject *args, PyObject *keywords, start_arguments *given)
{
    static char *names[] = {"engine",      "module", "working_directory",
                            "environment", "width",  "start_timeout",
                            "grace",       NULL};
    return PyArg_ParseTupleAndKeywords(args, keywords, "|$O&O&O&OOOO:Session", names, convert_path,
                                       &given->engine, convert_path, &given->module, convert_path,
                                       &given->working_directory, &given->environment,
                                       &given->width, &given->start_timeout, &given->grace);
}

static const char *path_text(PyObject *path)
{
    return path ? PyBytes_AS_STRING(path) : NULL;
}

/* In zcb_session_options 0 means the default. Here it means the shortest time, 1 ms. */
static int64_t option_ms(int64_t milliseconds)
{
    return milliseconds ? milliseconds : 1;
}

static PyObject *start_with(PyTypeObject *type, const start_arguments *given)
{
    uint64_t width = 0;
    double start_timeout = 60;
    double grace;
    if (given->width && !native_unsigned(given->width, "width", 1, INT32_MAX, &width))
        return NULL;
    if (given->start_timeout &&
        !native_timeout(given->start_timeout, "start_timeout", &start_timeout))
        return NULL;
    if (!native_seconds(given->grace, "grace", 5, &grace))
        return NULL;
    native_environment environment;
    if (!native_environment_make(given->environment, &environment))
        return NULL;
    const zcb_session_options options = {
        .engine = path_text(given->engine),
        .module = path_text(given->module),
        .working_directory = path_text(given->working_directory),
        .environment = environment.entries,
        .width = (uint32_t)width,
        .grace_ms = option_ms(native_grace_ms(grace)),
    };
    PyObject *self = start(type, &options, start_timeout);
    native_environment_free(&environment);
    return self;
}

static PyObject *session_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    start_arguments given = {.environment = Py_None};
    if (!parse(args, keywords, &given))
        return NULL;
    PyObject *self = start_with(type, &given);
    Py_XDECREF(given.engine);
    Py_XDECREF(given.module);
    Py_XDECREF(given.working_directory);
    return self;
}

static void session_dealloc(PyObject *object)
{
    SessionObject *self = (SessionObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak_references)
        PyObject_ClearWeakRefs(object);
    if (self->session)
        dispose(self->session);
    Py_XDECREF(self->engine);
    Py_XDECREF(self->pid);
    Py_XDECREF(self->version);
    type->tp_free(object);
    Py_DECREF(type);
}

/* ---------------------------------------------------------------- calls */

bool native_session_enter(SessionObject *self)
{
    if (!self->session) {
        native_session_raise(self, ZCB_ERR_CLOSED);
        return false;
    }
    self->calls++;
    return true;
}

void native_session_leave(SessionObject *self)
{
    if (--self->calls > 0 || !self->closed || self->owes)
        return;
    zcb_session *session = self->session;
    self->session = NULL;
    dispose(session);
}

/* As native_wait_begin, for a call on the session. */
static bool begin_call(SessionObject *self, native_wait *wait, const void *turn,
                       int64_t deadline_ns)
{
    if (!native_session_enter(self))
        return false;
    if (native_wait_begin(self->state, wait, turn, deadline_ns))
        return true;
    native_session_leave(self);
    return false;
}

/* As native_wait_end. */
static zcb_error end_call(SessionObject *self, native_wait *wait, zcb_error error)
{
    error = native_wait_end(wait, error);
    native_session_leave(self);
    return error;
}

PyDoc_STRVAR(close_doc, "close($self, /, grace=2.0)\n--\n\n"
                        "End the engine. It has `grace` seconds to end by itself. All waits end,\n"
                        "and commands that are not done end as STATUS_LOST. What the session has\n"
                        "of the system is given back with the last call that is under way; after\n"
                        "a `submit`, with the `next` that says there are no more results.");

static PyObject *session_close(PyObject *object, PyObject *const *args, Py_ssize_t count,
                               PyObject *keywords)
{
    static const native_signature signature = {"close", 0, 1, {"grace"}};
    SessionObject *self = (SessionObject *)object;
    PyObject *values[NATIVE_MOST_PARAMETERS];
    double grace;
    if (!native_arguments(&signature, args, count, keywords, values) ||
        !native_seconds(values[0], "grace", 2, &grace))
        return NULL;
    if (!self->session)
        Py_RETURN_NONE;
    zcb_detail why = {{0}};
    self->calls++;
    Py_BEGIN_ALLOW_THREADS
    zcb_session_close(self->session, native_grace_ms(grace));
    (void)zcb_session_alive(self->session, &why);
    Py_END_ALLOW_THREADS
    self->closed = true;
    self->why = why;
    native_session_leave(self);
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------- what it is */

static bool is_alive(SessionObject *self, zcb_detail *why)
{
    bool alive;
    *why = self->why;
    if (!self->session)
        return false;
    self->calls++;
    Py_BEGIN_ALLOW_THREADS
    alive = zcb_session_alive(self->session, why);
    Py_END_ALLOW_THREADS
    native_session_leave(self);
    return alive;
}

PyObject *native_session_raise(SessionObject *self, zcb_error error)
{
    zcb_detail why = {{0}};
    if (zcb_error_is_final(error) && !PyErr_Occurred())
        is_alive(self, &why);
    return native_raise(self->state, error, why.text);
}

PyDoc_STRVAR(alive_doc, "alive($self, /)\n--\n\n"
                        "Whether commands can be given, and if not, why: (bool, str).");

static PyObject *session_alive(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    zcb_detail why;
    bool alive = is_alive((SessionObject *)object, &why);
    return Py_BuildValue("(ON)", alive ? Py_True : Py_False,
                         PyUnicode_FromFormat("%s", alive ? "" : why.text));
}

/* ---------------------------------------------------------------- commands */

/* The arguments of run and submit. */
typedef struct command_arguments {
    const char *text; /* the caller's */
    size_t bytes;
    uint32_t flags;
    double timeout;
} command_arguments;

static bool parse_command(const native_signature *signature, PyObject *const *args,
                          Py_ssize_t count, PyObject *keywords, command_arguments *command)
{
    PyObject *values[NATIVE_MOST_PARAMETERS];
    if (!native_arguments(signature, args, count, keywords, values))
        return false;
    command->text = native_text(values[0], "text", &command->bytes);
    if (!command->text || !native_timeout(values[1], "timeout", &command->timeout))
        return false;
    int local_scope = values[2] ? PyObject_IsTrue(values[2]) : 0;
    command->flags = local_scope ? ZCB_COMMAND_LOCAL_SCOPE : 0;
    return local_scope >= 0;
}

/* Puts the result of a wait into its Python object. This is done even if a signal handler has raised: the
 * caller that gave `into` still has the object. */
static PyObject *give_result(PyObject *empty, zcb_result *result, zcb_error error)
{
    if (result)
        native_result_fill(empty, result);
    if (!error)
        return empty;
    Py_DECREF(empty);
    return NULL;
}

PyDoc_STRVAR(run_doc, "run($self, /, text, timeout=None, local_scope=False)\n--\n\n"
                      "Run a command and wait for its Result. A timeout stops the command. Its\n"
                      "result then has STATUS_TIMED_OUT and the command's output so far.");

static PyObject *session_run(PyObject *object, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords)
{
    static const native_signature signature = {"run", 1, 3, {"text", "timeout", "local_scope"}};
    SessionObject *self = (SessionObject *)object;
    command_arguments command;
    if (!parse_command(&signature, args, count, keywords, &command))
        return NULL;
    PyObject *empty = native_result_empty(self->state, NULL);
    if (!empty)
        return NULL;
    zcb_result *result = NULL;
    native_wait wait;
    /* libzcb ends the command after its timeout, so the wait itself needs no limit. */
    if (!begin_call(self, &wait, self, ZCB_NEVER)) {
        Py_DECREF(empty);
        return NULL;
    }
    zcb_error error = zcb_session_run(self->session, command.text, command.bytes, command.flags,
                                      native_timeout_ms(command.timeout), &result, &wait.wait);
    error = end_call(self, &wait, error);
    PyObject *given = give_result(empty, result, error);
    if (given)
        return given;
    if (error == ZCB_ERR_TIMEOUT && !PyErr_Occurred())
        return native_raise_timeout(
            self->state,
            PyUnicode_FromString("Timeout running a command: no room behind those that wait"),
            command.timeout, "Wait for some first, or give it a longer timeout.");
    return native_session_raise(self, error);
}

PyDoc_STRVAR(submit_doc, "submit($self, /, text, timeout=None, local_scope=False)\n--\n\n"
                         "Queue a command whose result `next` or `wait` gives. Returns its id.");

static PyObject *session_submit(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                PyObject *keywords)
{
    static const native_signature signature = {"submit", 1, 3, {"text", "timeout", "local_scope"}};
    SessionObject *self = (SessionObject *)object;
    command_arguments given;
    if (!parse_command(&signature, args, count, keywords, &given))
        return NULL;
    zcb_part text = {.kind = ZCB_PART_TEXT, .data = given.text, .bytes = given.bytes};
    zcb_command command = {
        .op = ZCB_OP_RUN,
        .flags = given.flags | ZCB_COMMAND_NOTIFY,
        .parts = &text,
        .part_count = 1,
    };
    native_wait wait;
    if (!begin_call(self, &wait, self, native_deadline_ns(given.timeout)))
        return NULL;
    zcb_error error =
        zcb_session_submit(self->session, &command, native_timeout_ms(given.timeout), &wait.wait);
    bool submitted = !error;
    error = native_wait_end(&wait, error);
    self->owes |= submitted;
    native_session_leave(self);
    if (!error)
        return PyLong_FromUnsignedLongLong(command.id);
    if (error == ZCB_ERR_TIMEOUT && !PyErr_Occurred())
        return native_raise_timeout(
            self->state,
            PyUnicode_FromString("Timeout queueing a command: no room in the queue of commands"),
            given.timeout, "Wait for some results first, or give it a longer timeout.");
    return native_session_raise(self, error);
}

/* ---------------------------------------------------------------- results */

PyDoc_STRVAR(
    wait_doc,
    "wait($self, /, id, timeout=None, into=None)\n--\n\n"
    "The Result of one command; None if another thread has taken it. TimeoutError: the\n"
    "command is still pending, wait again. `into`: an empty Result to fill and return. It\n"
    "is filled even if a signal handler raises during the wait.");

static PyObject *session_wait(PyObject *object, PyObject *const *args, Py_ssize_t count,
                              PyObject *keywords)
{
    static const native_signature signature = {"wait", 1, 3, {"id", "timeout", "into"}};
    SessionObject *self = (SessionObject *)object;
    PyObject *values[NATIVE_MOST_PARAMETERS];
    uint64_t id;
    double timeout;
    if (!native_arguments(&signature, args, count, keywords, values) ||
        !native_unsigned(values[0], "id", 0, UINT64_MAX, &id) ||
        !native_timeout(values[1], "timeout", &timeout))
        return NULL;
    PyObject *empty = native_result_empty(self->state, values[2]);
    if (!empty)
        return NULL;
    zcb_result *result = NULL;
    native_wait wait;
    if (!begin_call(self, &wait, self, native_deadline_ns(timeout))) {
        Py_DECREF(empty);
        return NULL;
    }
    zcb_error error = zcb_session_wait(self->session, id, &result, &wait.wait);
    error = end_call(self, &wait, error);
    PyObject *given = give_result(empty, result, error);
    if (given)
        return given;
    if (error == ZCB_ERR_NOT_FOUND && !PyErr_Occurred())
        Py_RETURN_NONE;
    if (error == ZCB_ERR_TIMEOUT && !PyErr_Occurred())
        return native_raise_timeout(
            self->state,
            PyUnicode_FromFormat("Timeout waiting for command %llu: it was not done",
                                 (unsigned long long)id),
            timeout, "It goes on: wait again with a longer timeout, or stop it.");
    return native_session_raise(self, error);
}

PyDoc_STRVAR(
    next_doc,
    "next($self, /, into=None)\n--\n\n"
    "The next Result that no `wait` waits for; None after the end of the session. `into` as\n"
    "for wait.");

static PyObject *session_next(PyObject *object, PyObject *const *args, Py_ssize_t count,
                              PyObject *keywords)
{
    static const native_signature signature = {"next", 0, 1, {"into"}};
    SessionObject *self = (SessionObject *)object;
    PyObject *values[NATIVE_MOST_PARAMETERS];
    if (!native_arguments(&signature, args, count, keywords, values))
        return NULL;
    if (!self->session)
        Py_RETURN_NONE;
    PyObject *empty = native_result_empty(self->state, values[0]);
    if (!empty)
        return NULL;
    zcb_result *result = NULL;
    native_wait wait;
    if (!begin_call(self, &wait, self, ZCB_NEVER)) {
        Py_DECREF(empty);
        return NULL;
    }
    zcb_error error = zcb_session_next(self->session, &result, &wait.wait);
    error = native_wait_end(&wait, error);
    self->owes = result != NULL;
    native_session_leave(self);
    PyObject *given = give_result(empty, result, error);
    if (given)
        return given;
    if (error == ZCB_ERR_CLOSED && !PyErr_Occurred())
        Py_RETURN_NONE;
    return native_session_raise(self, error);
}

PyDoc_STRVAR(stop_doc, "stop($self, /, id)\n--\n\n"
                       "Stop a command; False if it is not pending.");

static PyObject *session_stop(PyObject *object, PyObject *const *args, Py_ssize_t count,
                              PyObject *keywords)
{
    static const native_signature signature = {"stop", 1, 1, {"id"}};
    SessionObject *self = (SessionObject *)object;
    PyObject *values[NATIVE_MOST_PARAMETERS];
    uint64_t id;
    if (!native_arguments(&signature, args, count, keywords, values) ||
        !native_unsigned(values[0], "id", 0, UINT64_MAX, &id))
        return NULL;
    if (!self->session)
        Py_RETURN_FALSE;
    zcb_error error;
    self->calls++;
    Py_BEGIN_ALLOW_THREADS
    error = zcb_session_stop(self->session, id);
    Py_END_ALLOW_THREADS
    native_session_leave(self);
    if (error && error != ZCB_ERR_NOT_FOUND)
        return native_session_raise(self, error);
    return PyBool_FromLong(error == ZCB_OK);
}

PyDoc_STRVAR(ping_doc, "ping($self, /, timeout=None)\n--\n\n"
                       "Ask the engine's listener for an answer. It answers even while a command\n"
                       "runs.");

static PyObject *session_ping(PyObject *object, PyObject *const *args, Py_ssize_t count,
                              PyObject *keywords)
{
    static const native_signature signature = {"ping", 0, 1, {"timeout"}};
    SessionObject *self = (SessionObject *)object;
    PyObject *values[NATIVE_MOST_PARAMETERS];
    double timeout;
    if (!native_arguments(&signature, args, count, keywords, values) ||
        !native_timeout(values[0], "timeout", &timeout))
        return NULL;
    native_wait wait;
    if (!begin_call(self, &wait, &self->session, native_deadline_ns(timeout)))
        return NULL;
    zcb_error error = zcb_session_ping(self->session, &wait.wait);
    error = end_call(self, &wait, error);
    if (!error)
        Py_RETURN_NONE;
    if (error == ZCB_ERR_TIMEOUT && !PyErr_Occurred())
        return native_raise_timeout(
            self->state, PyUnicode_FromString("Timeout waiting for PowerShell: no answer"), timeout,
            "Give it a longer timeout. End an engine that never answers with close().");
    return native_session_raise(self, error);
}

/* ---------------------------------------------------------------- the type */

static PyMethodDef session_methods[] = {
    {"alive", session_alive, METH_NOARGS, alive_doc},
    {"close", NATIVE_METHOD(session_close), METH_FASTCALL | METH_KEYWORDS, close_doc},
    {"next", NATIVE_METHOD(session_next), METH_FASTCALL | METH_KEYWORDS, next_doc},
    {"ping", NATIVE_METHOD(session_ping), METH_FASTCALL | METH_KEYWORDS, ping_doc},
    {"run", NATIVE_METHOD(session_run), METH_FASTCALL | METH_KEYWORDS, run_doc},
    {"stop", NATIVE_METHOD(session_stop), METH_FASTCALL | METH_KEYWORDS, stop_doc},
    {"submit", NATIVE_METHOD(session_submit), METH_FASTCALL | METH_KEYWORDS, submit_doc},
    {"wait", NATIVE_METHOD(session_wait), METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef session_members[] = {
    {"engine", Py_T_OBJECT_EX, offsetof(SessionObject, engine), Py_READONLY, "The engine's path."},
    {"pid", Py_T_OBJECT_EX, offsetof(SessionObject, pid), Py_READONLY, "The engine's process id."},
    {"version", Py_T_OBJECT_EX, offsetof(SessionObject, version), Py_READONLY,
     "The engine's version."},
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(SessionObject, weak_references), Py_READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    session_doc,
    "Session(*, engine=None, module=None, working_directory=None, environment=None,\n"
    "        width=120, start_timeout=60.0, grace=5.0)\n--\n\n"
    "A live PowerShell engine. Timeouts are seconds; None waits without limit. Waits\n"
    "release the GIL. A signal handler that raises ends a wait. All methods may be called\n"
    "from any thread.");

static PyType_Slot session_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)session_doc},
    {Py_tp_new, NATIVE_SLOT(session_new)},
    {Py_tp_dealloc, NATIVE_SLOT(session_dealloc)},
    {Py_tp_traverse, NATIVE_SLOT(native_traverse_type)},
    {Py_tp_methods, session_methods},
    {Py_tp_members, session_members},
    {0, NULL},
};

PyType_Spec native_session_spec = {
    .name = "virtualshell._native.Session",
    .basicsize = sizeof(SessionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = session_slots,
};
