/* Bridge: a further channel of a session, for data. */
#include "native.h"

/* Messages up to this size are read before the GIL is taken again. */
#define SMALL_BYTES 4096

/* The most that the header of a bytes object and the allocator add to a size. */
#define OBJECT_OVERHEAD_BYTES 128

typedef struct BridgeObject {
    PyObject_HEAD native_state *state;
    zcb_bridge *bridge;     /* NULL once it was given back */
    SessionObject *session; /* strong */
    unsigned calls;         /* that are running in it */
    bool closed;
    PyObject *weak_references;
} BridgeObject;

/* ---------------------------------------------------------------- open and close */

static void dispose(zcb_bridge *bridge)
{
    Py_BEGIN_ALLOW_THREADS
    zcb_bridge_free(bridge);
    Py_END_ALLOW_THREADS
}

static PyObject *open_bridge(PyTypeObject *type, SessionObject *session,
                             const zcb_channel_options *options)
{
    zcb_bridge *bridge;
    zcb_detail why = session->why;
    zcb_error error = ZCB_ERR_CLOSED;
    if (session->session) {
        session->calls++;
        Py_BEGIN_ALLOW_THREADS
        error = zcb_bridge_open(session->session, options, &bridge, &why);
        Py_END_ALLOW_THREADS
        native_session_leave(session);
    }
    if (error)
        return native_raise_in(session->state, "Failed to create channel", error, why.text);
    BridgeObject *self = (BridgeObject *)type->tp_alloc(type, 0);
    if (!self) {
        dispose(bridge);
        return NULL;
    }
    self->state = session->state;
    self->bridge = bridge;
    Py_INCREF(session);
    self->session = session;
    return (PyObject *)self;
}

static PyObject *bridge_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"session", "frame_bytes", "window_bytes", "label", NULL};
    native_state *state = PyType_GetModuleState(type);
    PyObject *session, *frame = Py_None, *window = Py_None;
    zcb_channel_options options = {0};
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!|$OOz:Bridge", names, state->session,
                                     &session, &frame, &window, &options.label) ||
        !native_unsigned(frame, "frame_bytes", ZCB_MIN_FRAME_BYTES, ZCB_MAX_FRAME_BYTES,
                         &options.frame_bytes) ||
        !native_unsigned(window, "window_bytes", ZCB_MIN_WINDOW_BYTES, ZCB_MAX_WINDOW_BYTES,
                         &options.window_bytes))
        return NULL;
    return open_bridge(type, (SessionObject *)session, &options);
}

static int bridge_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((BridgeObject *)object)->session);
    return 0;
}

static void bridge_dealloc(PyObject *object)
{
    BridgeObject *self = (BridgeObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak_references)
        PyObject_ClearWeakRefs(object);
    if (self->bridge)
        dispose(self->bridge);
    Py_DECREF(self->session);
    type->tp_free(object);
    Py_DECREF(type);
}

/* ---------------------------------------------------------------- calls */

static void leave(BridgeObject *self)
{
    if (--self->calls > 0 || !self->closed)
        return;
    zcb_bridge *bridge = self->bridge;
    self->bridge = NULL;
    dispose(bridge);
}

static PyObject *raise_error(BridgeObject *self, zcb_error error)
{
    if (error == ZCB_ERR_CLOSED && self->closed)
        return native_raise(self->state, error, "the bridge was closed");
    return native_session_raise(self->session, error);
}

/* As native_wait_begin, for a call on the bridge, which is one on its session, too. */
static bool begin_call(BridgeObject *self, native_wait *wait, const void *turn, int64_t deadline_ns)
{
    if (!self->bridge) {
        raise_error(self, ZCB_ERR_CLOSED);
        return false;
    }
    if (!native_session_enter(self->session))
        return false;
    self->calls++;
    if (native_wait_begin(self->state, wait, turn, deadline_ns))
        return true;
    leave(self);
    native_session_leave(self->session);
    return false;
}

/* As native_wait_end. */
static zcb_error end_call(BridgeObject *self, native_wait *wait, zcb_error error)
{
    error = native_wait_end(wait, error);
    leave(self);
    native_session_leave(self->session);
    return error;
}

/* As end_call, for one that has given the session a command. */
static zcb_error end_post(BridgeObject *self, native_wait *wait, zcb_error error)
{
    bool posted = !error;
    error = native_wait_end(wait, error);
    self->session->owes |= posted;
    leave(self);
    native_session_leave(self->session);
    return error;
}

PyDoc_STRVAR(close_doc,
             "close($self, /)\n--\n\n"
             "End all waits; transfers that are not done fail. Leases stay valid. What the\n"
             "bridge has of the system is given back with the last call that is under way.");

static PyObject *bridge_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    BridgeObject *self = (BridgeObject *)object;
    self->closed = true;
    if (!self->bridge)
        Py_RETURN_NONE;
    self->calls++;
    Py_BEGIN_ALLOW_THREADS
    zcb_bridge_close(self->bridge);
    Py_END_ALLOW_THREADS
    leave(self);
    Py_RETURN_NONE;
}

static PyObject *get_closed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((BridgeObject *)self)->closed);
}

/* ---------------------------------------------------------------- posted transfers */

static PyObject *raise_post(BridgeObject *self, zcb_error error, double timeout)
{
    if (error == ZCB_ERR_TIMEOUT && !PyErr_Occurred())
        return native_raise_timeout(
            self->state,
            PyUnicode_FromString("Timeout posting a transfer: no room in the queue of commands"),
            timeout, "Wait for some results first, or give it a longer timeout.");
    return raise_error(self, error);
}

PyDoc_STRVAR(
    post_receive_doc,
    "post_receive($self, /, target, timeout=None, lease=False)\n--\n\n"
    "Let PowerShell receive the next message into the variable `target`, with `lease` in\n"
    "place. Returns the id of the transfer; Session.next or Session.wait gives its result.");

static PyObject *bridge_post_receive(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                     PyObject *keywords)
{
    static const native_signature signature = {
        "post_receive", 1, 3, {"target", "timeout", "lease"}};
    BridgeObject *self = (BridgeObject *)object;
    PyObject *values[NATIVE_MOST_PARAMETERS];
    size_t bytes;
    double timeout;
    if (!native_arguments(&signature, args, count, keywords, values))
        return NULL;
    const char *target = native_text(values[0], "target", &bytes);
    int lease = values[2] ? PyObject_IsTrue(values[2]) : 0;
    if (!target || lease < 0 || !native_timeout(values[1], "timeout", &timeout))
        return NULL;
    uint32_t flags = ZCB_COMMAND_NOTIFY | (lease ? (uint32_t)ZCB_COMMAND_LEASE : 0);
    uint64_t id;
    native_wait wait;
    if (!begin_call(self, &wait, self->session, native_deadline_ns(timeout)))
        return NULL;
    zcb_error error = zcb_bridge_post_receive(self->bridge, target, bytes, flags,
                                              native_timeout_ms(timeout), &id, &wait.wait);
    error = end_post(self, &wait, error);
    if (!error)
        return PyLong_FromUnsignedLongLong(id);
    if (error == ZCB_ERR_INVALID && !PyErr_Occurred())
        return PyErr_Format(PyExc_ValueError,
                            "target must be a place to assign to, such as \"$x\", \"$h.key\", "
                            "\"$a[3]\" or \"[byte[]]$x\", not %R",
                            values[0]);
    return raise_post(self, error, timeout);
}

PyDoc_STRVAR(
    post_send_doc,
    "post_send($self, /, expression, depth=0, timeout=None)\n--\n\n"
    "Let PowerShell send the value of an expression: a byte[] as it is, any other value as\n"
    "CliXml of this depth (0: 2). Returns the id of the transfer and of its message.");

static PyObject *bridge_post_send(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                  PyObject *keywords)
{
    static const native_signature signature = {
        "post_send", 1, 3, {"expression", "depth", "timeout"}};
    BridgeObject *self = (BridgeObject *)object;
    PyObject *values[NATIVE_MOST_PARAMETERS];
    size_t bytes;
    uint64_t depth = 0;
    double timeout;
    if (!native_arguments(&signature, args, count, keywords, values))
        return NULL;
    const char *expression = native_text(values[0], "expression", &bytes);
    if (!expression || (values[1] && !native_unsigned(values[1], "depth", 0, 100, &depth)) ||
        !native_timeout(values[2], "timeout", &timeout))
        return NULL;
    uint64_t id;
    native_wait wait;
    if (!begin_call(self, &wait, self->session, native_deadline_ns(timeout)))
        return NULL;
    zcb_error error =
        zcb_bridge_post_send(self->bridge, expression, bytes, (uint32_t)depth, ZCB_COMMAND_NOTIFY,
                             native_timeout_ms(timeout), &id, &wait.wait);
    error = end_post(self, &wait, error);
    if (!error)
        return PyLong_FromUnsignedLongLong(id);
    return raise_post(self, error, timeout);
}

static bool parse_id(const native_signature *signature, PyObject *const *args, Py_ssize_t count,
                     PyObject *keywords, uint64_t *id)
{
    PyObject *values[NATIVE_MOST_PARAMETERS];
    return native_arguments(signature, args, count, keywords, values) &&
           native_unsigned(values[0], "id", 0, UINT64_MAX, id);
}

PyDoc_STRVAR(seen_doc,
             "seen($self, /, id)\n--\n\n"
             "The user has seen that this transfer failed: no later call raises the failure.");

static PyObject *bridge_seen(PyObject *object, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords)
{
    static const native_signature signature = {"seen", 1, 1, {"id"}};
    BridgeObject *self = (BridgeObject *)object;
    uint64_t id;
    if (!parse_id(&signature, args, count, keywords, &id))
        return NULL;
    if (!self->bridge)
        Py_RETURN_NONE;
    self->calls++;
    Py_BEGIN_ALLOW_THREADS
    zcb_bridge_seen(self->bridge, id);
    Py_END_ALLOW_THREADS
    leave(self);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(withdraw_doc, "withdraw($self, /, id)\n--\n\n"
                           "Withdraw a posted transfer; False when it is too late.");

static PyObject *bridge_withdraw(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                 PyObject *keywords)
{
    static const native_signature signature = {"withdraw", 1, 1, {"id"}};
    BridgeObject *self = (BridgeObject *)object;
    uint64_t id;
    if (!parse_id(&signature, args, count, keywords, &id))
        return NULL;
    if (!self->bridge)
        Py_RETURN_FALSE;
    zcb_error error;
    self->calls++;
    Py_BEGIN_ALLOW_THREADS
    error = zcb_bridge_withdraw(self->bridge, id);
    Py_END_ALLOW_THREADS
    leave(self);
    if (error && error != ZCB_ERR_TOO_LATE && error != ZCB_ERR_NOT_FOUND)
        return raise_error(self, error);
    return PyBool_FromLong(error == ZCB_OK);
}

/* ---------------------------------------------------------------- sending */

static PyObject *raise_send(BridgeObject *self, zcb_error error, uint64_t bytes,
                            uint64_t refused_by, double timeout)
{
    if (error == ZCB_ERR_TIMEOUT && !PyErr_Occurred())
        return native_raise_timeout(
            self->state,
            PyUnicode_FromFormat("Timeout sending %llu bytes: PowerShell did not receive them",
                                 (unsigned long long)bytes),
            timeout,
            "They were withdrawn. Post a receive for them (receive_to_powershell), give send "
            "a longer timeout, or give the bridge a larger frame_mb.");
    if (error == ZCB_ERR_REFUSED && !PyErr_Occurred())
        return native_raise_refused(self->state, refused_by);
    return raise_error(self, error);
}

PyDoc_STRVAR(
    send_doc,
    "send($self, /, data, timeout=None, kind=...)\n--\n\n"
    "Send any C-contiguous buffer, copied directly, to the first posted receive, or queue\n"
    "it for the next one. `kind` defaults to that of a CliXml, a Lease or a memoryview of\n"
    "one, else to KIND_BYTES.");

static PyObject *bridge_send(PyObject *object, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords)
{
    static const native_signature signature = {"send", 1, 3, {"data", "timeout", "kind"}};
    BridgeObject *self = (BridgeObject *)object;
    PyObject *values[NATIVE_MOST_PARAMETERS];
    double timeout;
    native_payload payload;
    if (!native_arguments(&signature, args, count, keywords, values) ||
        !native_timeout(values[1], "timeout", &timeout) ||
        !native_payload_acquire(self->state, values[0], values[2], &payload))
        return NULL;
    uint64_t bytes = (uint64_t)payload.view.len;
    uint64_t refused_by = 0;
    native_wait wait;
    if (!begin_call(self, &wait, &self->bridge, native_deadline_ns(timeout))) {
        native_payload_release(&payload);
        return NULL;
    }
    zcb_error error = zcb_bridge_send(self->bridge, (zcb_kind)payload.kind, payload.view.buf, bytes,
                                      &refused_by, &wait.wait);
    error = end_call(self, &wait, error);
    native_payload_release(&payload);
    if (error)
        return raise_send(self, error, bytes, refused_by, timeout);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    allocate_doc,
    "allocate($self, /, size, timeout=None)\n--\n\n"
    "An Allocation of `size` bytes: memory of the frame, to be filled and then sent on this\n"
    "bridge without a copy.");

static PyObject *bridge_allocate(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                 PyObject *keywords)
{
    static const native_signature signature = {"allocate", 1, 2, {"size", "timeout"}};
    BridgeObject *self = (BridgeObject *)object;
    PyObject *values[NATIVE_MOST_PARAMETERS];
    uint64_t bytes;
    double timeout;
    if (!native_arguments(&signature, args, count, keywords, values) ||
        !native_unsigned(values[0], "size", 1, PY_SSIZE_T_MAX, &bytes) ||
        !native_timeout(values[1], "timeout", &timeout))
        return NULL;
    zcb_block *block;
    native_wait wait;
    if (!begin_call(self, &wait, &self->bridge, native_deadline_ns(timeout)))
        return NULL;
    zcb_error error =
        zcb_block_allocate(zcb_bridge_channel(self->bridge), bytes, &block, &wait.wait);
    if (!error && wait.raised) {
        zcb_block_free(block);
        error = ZCB_ERR_INTERRUPTED;
    }
    error = end_call(self, &wait, error);
    if (!error)
        return native_allocation_wrap(self->state, block);
    if (error == ZCB_ERR_TIMEOUT && !PyErr_Occurred())
        return native_raise_timeout(
            self->state,
            PyUnicode_FromFormat("Timeout allocating %llu bytes: no room in the frame",
                                 (unsigned long long)bytes),
            timeout, "Drop views and leases of this bridge, or give it a larger frame_mb.");
    return raise_error(self, error);
}

/* ---------------------------------------------------------------- receiving */

/* As zcb_bridge_receive_begin. If a signal handler raises, no message is begun. */
static zcb_error begin(BridgeObject *self, zcb_wish wish, zcb_message *message, native_wait *wait)
{
    zcb_error error = zcb_bridge_receive_begin(self->bridge, wish, message, &wait->wait);
    if (error || !wait->raised)
        return error;
    zcb_receive_drop(zcb_bridge_channel(self->bridge));
    return ZCB_ERR_INTERRUPTED;
}

/* Reads the rest of the message and ends the receive, even on failure. */
static zcb_error read_and_end(BridgeObject *self, void *destination, uint64_t bytes,
                              native_wait *wait)
{
    zcb_channel *channel = zcb_bridge_channel(self->bridge);
    zcb_error error = ZCB_OK;
    if (bytes > 0)
        error = zcb_receive_read(channel, destination, (size_t)bytes, NULL, &wait->wait);
    if (!error)
        return zcb_receive_end(channel);
    zcb_receive_drop(channel);
    return error;
}

static bool fits_in_memory(uint64_t bytes)
{
    return bytes <= (uint64_t)PY_SSIZE_T_MAX - OBJECT_OVERHEAD_BYTES;
}

/* message->kind is 0 if no message came. */
static PyObject *raise_receive(BridgeObject *self, zcb_error error, const zcb_message *message,
                               double timeout)
{
    if (error == ZCB_ERR_NO_MEMORY && message->kind) {
        PyErr_Clear();
        return native_raise_text(
            self->state, error,
            PyUnicode_FromFormat(
                "no memory for a message of %llu bytes from PowerShell: it was dropped",
                (unsigned long long)message->bytes));
    }
    if (error != ZCB_ERR_TIMEOUT || PyErr_Occurred())
        return raise_error(self, error);
    if (!message->kind)
        return native_raise_timeout(
            self->state,
            PyUnicode_FromString("Timeout waiting for PowerShell chunk: no message came"), timeout,
            "Post a send first (send_from_powershell), or give receive a longer timeout.");
    return native_raise_timeout(
        self->state,
        PyUnicode_FromFormat(
            "Timeout waiting for PowerShell chunk: a message of %llu bytes was not complete",
            (unsigned long long)message->bytes),
        timeout,
        "It was dropped. Give receive a longer timeout, or give the bridge a larger chunk_mb.");
}

/* (kind, data, id); takes the reference to data, which may be NULL with an exception set. */
static PyObject *message_tuple(const zcb_message *message, PyObject *data)
{
    if (!data)
        return NULL;
    return Py_BuildValue("(INK)", (unsigned int)message->kind, data,
                         (unsigned long long)message->id);
}

static PyObject *allocate(native_state *state, const zcb_message *message)
{
    if (!fits_in_memory(message->bytes))
        return PyErr_NoMemory();
    Py_ssize_t bytes = (Py_ssize_t)message->bytes;
    if (message->kind == ZCB_KIND_CLIXML)
        return native_clixml_allocate(state, bytes);
    return PyBytes_FromStringAndSize(NULL, bytes);
}

/* Reads a message into a new object, *data, which may be set even on failure. Ends the receive. */
static zcb_error read_large(BridgeObject *self, const zcb_message *message, PyObject **data,
                            native_wait *wait)
{
    native_wait_pause(wait);
    *data = allocate(self->state, message);
    native_wait_resume(wait);
    if (!*data) {
        zcb_receive_drop(zcb_bridge_channel(self->bridge));
        return ZCB_ERR_NO_MEMORY;
    }
    char *destination = PyBytes_AS_STRING(*data);
    zcb_advise_huge(destination, (size_t)message->bytes);
    return read_and_end(self, destination, message->bytes, wait);
}

static void discard(PyObject **data, native_wait *wait)
{
    if (!*data)
        return;
    native_wait_pause(wait);
    Py_CLEAR(*data);
    native_wait_resume(wait);
}

/* Receives one message: into `small` if it fits, else into *data, which may be set even on failure.
 * ZCB_ERR_ABORTED: its sender has given it up. That counts as no message. */
static zcb_error receive_copy(BridgeObject *self, zcb_message *message, char *small,
                              PyObject **data, native_wait *wait)
{
    *message = (zcb_message){0};
    discard(data, wait);
    zcb_error error = begin(self, ZCB_WISH_COPY, message, wait);
    if (error)
        return error;
    if (message->bytes <= SMALL_BYTES)
        return read_and_end(self, small, message->bytes, wait);
    return read_large(self, message, data, wait);
}

static PyObject *make_small(BridgeObject *self, const zcb_message *message, const char *bytes)
{
    PyObject *data = allocate(self->state, message);
    if (data && message->bytes)
        memcpy(PyBytes_AS_STRING(data), bytes, (size_t)message->bytes);
    return data;
}

static bool parse_timeout(const native_signature *signature, PyObject *const *args,
                          Py_ssize_t count, PyObject *keywords, double *timeout)
{
    PyObject *values[NATIVE_MOST_PARAMETERS];
    return native_arguments(signature, args, count, keywords, values) &&
           native_timeout(values[0], "timeout", timeout);
}

PyDoc_STRVAR(receive_doc,
             "receive($self, /, timeout=None)\n--\n\n"
             "The next message: (kind, data, id). data is bytes, or CliXml for KIND_CLIXML; for\n"
             "KIND_ERROR it is UTF-8 text.");

static PyObject *bridge_receive(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                PyObject *keywords)
{
    static const native_signature signature = {"receive", 0, 1, {"timeout"}};
    BridgeObject *self = (BridgeObject *)object;
    double timeout;
    if (!parse_timeout(&signature, args, count, keywords, &timeout))
        return NULL;
    char small[SMALL_BYTES];
    PyObject *data = NULL;
    zcb_message message = {0};
    native_wait wait;
    if (!begin_call(self, &wait, self, native_deadline_ns(timeout)))
        return NULL;
    zcb_error error;
    do
        error = receive_copy(self, &message, small, &data, &wait);
    while (error == ZCB_ERR_ABORTED);
    error = end_call(self, &wait, error);
    if (!error)
        return message_tuple(&message, data ? data : make_small(self, &message, small));
    Py_XDECREF(data);
    return raise_receive(self, error, &message, timeout);
}

/* Reads the message into private memory. Ends the receive. */
static zcb_error copy_out(BridgeObject *self, const zcb_message *message, native_block *block,
                          native_wait *wait)
{
    if (fits_in_memory(message->bytes))
        block->copy = PyMem_RawMalloc((size_t)message->bytes);
    if (!block->copy) {
        zcb_receive_drop(zcb_bridge_channel(self->bridge));
        return ZCB_ERR_NO_MEMORY;
    }
    block->bytes = (size_t)message->bytes;
    zcb_advise_huge(block->copy, block->bytes);
    return read_and_end(self, block->copy, message->bytes, wait);
}

/* Takes the message in place, or as a private copy if it is not in one piece. Ends the receive. */
static zcb_error take_block(BridgeObject *self, const zcb_message *message, native_block *block,
                            native_wait *wait)
{
    zcb_channel *channel = zcb_bridge_channel(self->bridge);
    zcb_error error = zcb_receive_lease(channel, &block->lease, &wait->wait);
    if (error == ZCB_ERR_TOO_LARGE)
        return copy_out(self, message, block, wait);
    if (error) {
        zcb_receive_drop(channel);
        return error;
    }
    block->bytes = (size_t)zcb_lease_bytes(block->lease);
    return zcb_receive_end(channel);
}

/* As receive_copy. On failure there is no block. */
static zcb_error receive_block(BridgeObject *self, zcb_message *message, native_block *block,
                               native_wait *wait)
{
    *message = (zcb_message){0};
    zcb_error error = begin(self, ZCB_WISH_LEASE, message, wait);
    if (!error)
        error = take_block(self, message, block, wait);
    if (error)
        native_block_free(block);
    return error;
}

PyDoc_STRVAR(
    receive_lease_doc,
    "receive_lease($self, /, timeout=None)\n--\n\n"
    "The next message: (kind, Lease, id). It is held in place if it is in one piece, else\n"
    "it is a private copy.");

static PyObject *bridge_receive_lease(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                      PyObject *keywords)
{
    static const native_signature signature = {"receive_lease", 0, 1, {"timeout"}};
    BridgeObject *self = (BridgeObject *)object;
    double timeout;
    if (!parse_timeout(&signature, args, count, keywords, &timeout))
        return NULL;
    native_block block = {0};
    zcb_message message = {0};
    native_wait wait;
    if (!begin_call(self, &wait, self, native_deadline_ns(timeout)))
        return NULL;
    zcb_error error;
    do
        error = receive_block(self, &message, &block, &wait);
    while (error == ZCB_ERR_ABORTED);
    if (wait.raised)
        native_block_free(&block);
    error = end_call(self, &wait, error);
    if (error)
        return raise_receive(self, error, &message, timeout);
    return message_tuple(&message, native_lease_wrap(self->state, message.kind, &block));
}

/* ---------------------------------------------------------------- the type */

static PyMethodDef bridge_methods[] = {
    {"allocate", NATIVE_METHOD(bridge_allocate), METH_FASTCALL | METH_KEYWORDS, allocate_doc},
    {"close", bridge_close, METH_NOARGS, close_doc},
    {"post_receive", NATIVE_METHOD(bridge_post_receive), METH_FASTCALL | METH_KEYWORDS,
     post_receive_doc},
    {"post_send", NATIVE_METHOD(bridge_post_send), METH_FASTCALL | METH_KEYWORDS, post_send_doc},
    {"receive", NATIVE_METHOD(bridge_receive), METH_FASTCALL | METH_KEYWORDS, receive_doc},
    {"receive_lease", NATIVE_METHOD(bridge_receive_lease), METH_FASTCALL | METH_KEYWORDS,
     receive_lease_doc},
    {"seen", NATIVE_METHOD(bridge_seen), METH_FASTCALL | METH_KEYWORDS, seen_doc},
    {"send", NATIVE_METHOD(bridge_send), METH_FASTCALL | METH_KEYWORDS, send_doc},
    {"withdraw", NATIVE_METHOD(bridge_withdraw), METH_FASTCALL | METH_KEYWORDS, withdraw_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef bridge_getset[] = {
    {"closed", get_closed, NULL, "Whether close() was called.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef bridge_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(BridgeObject, weak_references), Py_READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(bridge_doc, "Bridge(session, *, frame_bytes, window_bytes, label=None)\n--\n\n"
                         "A further channel of a session. Keeps its session alive.");

static PyType_Slot bridge_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)bridge_doc},
    {Py_tp_new, NATIVE_SLOT(bridge_new)},
    {Py_tp_dealloc, NATIVE_SLOT(bridge_dealloc)},
    {Py_tp_traverse, NATIVE_SLOT(bridge_traverse)},
    {Py_tp_methods, bridge_methods},
    {Py_tp_getset, bridge_getset},
    {Py_tp_members, bridge_members},
    {0, NULL},
};

PyType_Spec native_bridge_spec = {
    .name = "virtualshell._native.Bridge",
    .basicsize = sizeof(BridgeObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = bridge_slots,
};
