/* Result: a finished command. Its texts are decoded when they are first read. */
#include "native.h"

typedef struct ResultObject {
    PyObject_HEAD zcb_result *result; /* NULL while it is empty */
    PyObject *text[ZCB_FIELDS];       /* NULL until it is first read */
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
    for (int i = 0; i < ZCB_FIELDS; i++)
        Py_XDECREF(self->text[i]);
    zcb_result_free(self->result);
    type->tp_free(object);
    Py_DECREF(type);
}

static const zcb_result *result_of(PyObject *self)
{
    static const zcb_result nothing;
    const zcb_result *result = ((ResultObject *)self)->result;
    return result ? result : &nothing;
}

static PyObject *get_id(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(result_of(self)->id);
}

static PyObject *get_op(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(result_of(self)->op);
}

static PyObject *get_status(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(result_of(self)->status);
}

static PyObject *get_success(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(result_of(self)->success);
}

static PyObject *get_refused(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(result_of(self)->refused);
}

static PyObject *get_exit_code(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(result_of(self)->exit_code);
}

static PyObject *get_execution_ns(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLongLong(result_of(self)->execution_ns);
}

/* The closure is the field's number. */
static PyObject *get_text(PyObject *object, void *closure)
{
    ResultObject *self = (ResultObject *)object;
    uintptr_t field = (uintptr_t)closure;
    if (!self->result)
        return PyUnicode_FromString("");
    if (!self->text[field]) {
        zcb_text text = self->result->field[field];
        self->text[field] = PyUnicode_DecodeUTF8(text.text, (Py_ssize_t)text.bytes, "replace");
    }
    Py_XINCREF(self->text[field]);
    return self->text[field];
}

#define FIELD(number) ((void *)(uintptr_t)(number))

static PyGetSetDef result_getset[] = {
    {"id", get_id, NULL, "The command's id.", NULL},
    {"op", get_op, NULL, "What the command was: OP_RUN, OP_RECEIVE or OP_SEND.", NULL},
    {"status", get_status, NULL, "How it ended: one of STATUS_*.", NULL},
    {"success", get_success, NULL, "The value of `$?`; for a transfer, whether it arrived.", NULL},
    {"refused", get_refused, NULL, "A receive that failed and took no message.", NULL},
    {"exit_code", get_exit_code, NULL, "The exit code of the last native program, else 0 or 1.",
     NULL},
    {"execution_ns", get_execution_ns, NULL, "The time that the engine spent on it, in ns.", NULL},
    {"out", get_text, NULL, "What `pwsh` would print.", FIELD(ZCB_FIELD_OUT)},
    {"err", get_text, NULL, "Errors.", FIELD(ZCB_FIELD_ERR)},
    {"warning", get_text, NULL, "Warnings.", FIELD(ZCB_FIELD_WARNING)},
    {"verbose", get_text, NULL, "Verbose messages.", FIELD(ZCB_FIELD_VERBOSE)},
    {"debug", get_text, NULL, "Debug messages.", FIELD(ZCB_FIELD_DEBUG)},
    {"information", get_text, NULL, "Information messages.", FIELD(ZCB_FIELD_INFORMATION)},
    {"progress", get_text, NULL, "Progress records.", FIELD(ZCB_FIELD_PROGRESS)},
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
