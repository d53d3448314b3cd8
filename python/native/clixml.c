/* CliXml: bytes that remember being a serialized PowerShell object. */
#include "native.h"

/* A subclass's tp_alloc would clear the memory, and so touch it before zcb_advise_huge is called. So a
 * small object is resized instead: _PyBytes_Resize keeps the type and clears nothing. The small object
 * has two bytes because shorter ones are shared objects, whose cached hash would be copied. */
PyObject *native_clixml_allocate(native_state *state, Py_ssize_t bytes)
{
    PyObject *seed = PyBytes_FromStringAndSize("\0", bytes > 0 ? 2 : 0);
    PyObject *self =
        seed ? PyObject_CallFunctionObjArgs((PyObject *)state->clixml, seed, NULL) : NULL;
    Py_XDECREF(seed);
    if (self && bytes > 0 && _PyBytes_Resize(&self, bytes) < 0) {
        /* _PyBytes_Resize frees the object, but not the object's reference to its type. */
        Py_DECREF(state->clixml);
        return NULL;
    }
    return self;
}

/* Immutable like bytes, so a copy is the object itself. */
static PyObject *clixml_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Py_INCREF(self);
    return self;
}

static PyMethodDef clixml_methods[] = {
    {"__copy__", clixml_copy, METH_NOARGS, NULL},
    {"__deepcopy__", clixml_copy, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(clixml_doc,
             "A serialized PowerShell object, as `receive` returns it. It becomes an object again\n"
             "when it is sent back.");

static PyType_Slot clixml_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)clixml_doc},
    {Py_tp_methods, clixml_methods},
    {0, NULL},
};

/* The sizes are those of bytes. */
PyType_Spec native_clixml_spec = {
    .name = "virtualshell._native.CliXml",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = clixml_slots,
};
