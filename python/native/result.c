/* Result: a finished command. Its texts are decoded when they are first read. */
#include "native.h"

typedef struct ResultObject {
    PyObject_HEAD zcb_result *result; /* NULL while it is empty */
    PyObject *text[ZCB_STREAMS];      /* NULL until it is first read */
} ResultObject;

static PyObject *result_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    if (PyTuple_GET_SIZE(args) || (keywords && PyDict_GET_SIZE(keywords))) {
        PyErr_SetString(PyExc_TypeError, "Result() takes no arguments");
        return NULL;
    }
    return type->tp_alloc(type, 0);
}

PyObject *native_result_empty(native_state *state, PyObject *into)
{
    if (!into)
        return state->result->tp_alloc(state->result, 0);
    if (!Py_IS_TYPE(into, state->result) || ((ResultObject *)into)->result) {
        PyErr_SetString(PyExc_TypeError, "into must be an empty Result");
        return NULL;
    }
    Py_INCREF(into);
    return into;
}

void native_result_fill(PyObject *empty, zcb_result *result)
{
    ((ResultObject *)empty)->result = result;
}

static void result_dealloc(PyObject *object)
{
    ResultObject *self = (ResultObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (int i = 0; i < ZCB_STREAMS; i++)
        Py_XDECREF(self->text[i]);
    zcb_result_free(self->result);
    type->tp_free(object);
    Py_DECREF(type);
}

static const zcb_result *result_of(PyObject *self)
{
    return ((ResultObject *)self)->result;
}

static PyObject *get_id(PyObject *self, void *Py_UNUSED(closure))
{
    const zcb_result *result = result_of(self);
    return PyLong_FromUnsignedLongLong(result ? zcb_result_id(result) : 0);
}

static PyObject *get_op(PyObject *self, void *Py_UNUSED(closure))
{
    const zcb_result *result = result_of(self);
    return PyLong_FromLong(result ? (long)zcb_result_op(result) : 0);
}

static PyObject *get_status(PyObject *self, void *Py_UNUSED(closure))
{
    const zcb_result *result = result_of(self);
    return PyLong_FromLong(result ? (long)zcb_result_status(result) : 0);
}

static PyObject *get_success(PyObject *self, void *Py_UNUSED(closure))
{
    const zcb_result *result = result_of(self);
    return PyBool_FromLong(result && zcb_result_success(result));
}

static PyObject *get_refused(PyObject *self, void *Py_UNUSED(closure))
{
    const zcb_result *result = result_of(self);
    return PyBool_FromLong(result && zcb_result_refused(result));
}

static PyObject *get_exit_code(PyObject *self, void *Py_UNUSED(closure))
{
    const zcb_result *result = result_of(self);
    return PyLong_FromLong(result ? zcb_result_exit_code(result) : 0);
}

static PyObject *get_execution_ns(PyObject *self, void *Py_UNUSED(closure))
{
    const zcb_result *result = result_of(self);
    return PyLong_FromLongLong(result ? zcb_result_execution_ns(result) : 0);
}

/* The closure is the stream's part kind. */
static PyObject *get_text(PyObject *object, void *closure)
{
    ResultObject *self = (ResultObject *)object;
    zcb_part_kind stream = (zcb_part_kind)(uintptr_t)closure;
    PyObject **text = &self->text[stream - ZCB_PART_OUT];
    if (!self->result)
        return PyUnicode_FromString("");
    if (!*text) {
        size_t bytes = 0;
        const char *utf8 = zcb_result_text(self->result, stream, &bytes);
        *text = PyUnicode_DecodeUTF8(utf8, (Py_ssize_t)bytes, "replace");
    }
    Py_XINCREF(*text);
    return *text;
}

#define STREAM(name) ((void *)(uintptr_t)(ZCB_PART_##name))

static PyGetSetDef result_getset[] = {
    {"id", get_id, NULL, "The command's id.", NULL},
    {"op", get_op, NULL, "What the command was: OP_RUN, OP_RECEIVE or OP_SEND.", NULL},
    {"status", get_status, NULL, "How it ended: one of STATUS_*.", NULL},
    {"success", get_success, NULL, "The value of `$?`; for a transfer, whether it arrived.", NULL},
    {"refused", get_refused, NULL, "A receive that failed and took no message.", NULL},
    {"exit_code", get_exit_code, NULL, "The exit code of the last native program, else 0 or 1.",
     NULL},
    {"execution_ns", get_execution_ns, NULL, "The time that the engine spent on it, in ns.", NULL},
    {"out", get_text, NULL, "What `pwsh` would print.", STREAM(OUT)},
    {"err", get_text, NULL, "Errors.", STREAM(ERR)},
    {"warning", get_text, NULL, "Warnings.", STREAM(WARNING)},
    {"verbose", get_text, NULL, "Verbose messages.", STREAM(VERBOSE)},
    {"debug", get_text, NULL, "Debug messages.", STREAM(DEBUG)},
    {"information", get_text, NULL, "Information messages.", STREAM(INFORMATION)},
    {"progress", get_text, NULL, "Progress records.", STREAM(PROGRESS)},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(
    result_doc,
    "Result()\n--\n\n"
    "A finished command, or an empty Result with the id 0, to be filled by Session.wait or\n"
    "Session.next. Texts are decoded (UTF-8, errors=\"replace\") on first access.");

static PyType_Slot result_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)result_doc},
    {Py_tp_new, NATIVE_SLOT(result_new)},
    {Py_tp_dealloc, NATIVE_SLOT(result_dealloc)},
    {Py_tp_getset, result_getset},
    {0, NULL},
};

PyType_Spec native_result_spec = {
    .name = "virtualshell._native.Result",
    .basicsize = sizeof(ResultObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = result_slots,
};
