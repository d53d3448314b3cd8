/* The data of Bridge.send: any C-contiguous buffer, and its kind of message. */
#include "native.h"

static bool set_type_error(PyObject *data)
{
    if (PyUnicode_Check(data))
        PyErr_SetString(PyExc_TypeError, "data must be bytes-like, not str: encode it first, "
                                         "as in send(text.encode(\"utf-8\"))");
    else
        PyErr_Format(PyExc_TypeError,
                     "data must be bytes-like (bytes, bytearray, memoryview, array, mmap, NumPy "
                     "array), not %.200s",
                     Py_TYPE(data)->tp_name);
    return false;
}

/* The exporter has refused and has set an exception. If the reason is the layout, say what to do. */
static bool explain_refusal(PyObject *data)
{
    Py_buffer view;
    if (!PyErr_ExceptionMatches(PyExc_BufferError) && !PyErr_ExceptionMatches(PyExc_ValueError))
        return false;
    PyErr_Clear();
    if (PyObject_GetBuffer(data, &view, PyBUF_FULL_RO) < 0)
        return false;
    PyBuffer_Release(&view);
    PyErr_SetString(PyExc_BufferError, "data is not C-contiguous: send a copy that is, as in "
                                       "send(numpy.ascontiguousarray(data)) or send(bytes(data))");
    return false;
}

/* Whether a struct format holds Python objects. Field names stand between colons. */
static bool has_objects(const char *format)
{
    bool in_name = false;
    for (; format && *format; format++) {
        if (*format == ':')
            in_name = !in_name;
        else if (*format == 'O' && !in_name)
            return true;
    }
    return false;
}

PyObject *native_refuse_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyErr_Format(PyExc_TypeError,
                        "a %.200s can't be pickled or copied: it is memory that two processes see; "
                        "make bytes of it",
                        Py_TYPE(self)->tp_name);
}

static bool get_buffer(PyObject *data, Py_buffer *view)
{
    if (!PyObject_CheckBuffer(data))
        return set_type_error(data);
    /* Without strides an exporter gives C-contiguous memory or nothing. */
    if (PyObject_GetBuffer(data, view, PyBUF_ND | PyBUF_FORMAT) < 0)
        return explain_refusal(data);
    if (!has_objects(view->format))
        return true;
    PyBuffer_Release(view);
    PyErr_SetString(PyExc_TypeError, "data holds Python objects, whose addresses mean nothing to "
                                     "PowerShell: convert it to numbers or bytes first");
    return false;
}

static uint32_t kind_of_object(native_state *state, PyObject *object)
{
    bool clixml = PyObject_TypeCheck(object, state->clixml) ||
                  native_lease_kind(state, object) == ZCB_KIND_CLIXML;
    return clixml ? ZCB_KIND_CLIXML : ZCB_KIND_BYTES;
}

/* A view of a whole CliXml or Lease has its kind. A view of a part of one is plain bytes. */
static uint32_t kind_of(native_state *state, PyObject *data, Py_ssize_t bytes)
{
    PyObject *base = PyMemoryView_Check(data) ? PyMemoryView_GET_BASE(data) : NULL;
    if (!base)
        return kind_of_object(state, data);
    uint32_t kind = kind_of_object(state, base);
    return kind == ZCB_KIND_BYTES || PyObject_Size(base) == bytes ? kind : ZCB_KIND_BYTES;
}

bool native_payload_acquire(native_state *state, PyObject *data, PyObject *kind,
                            native_payload *payload)
{
    uint64_t given = 0;
    if (kind && !native_unsigned(kind, "kind", ZCB_KIND_BYTES, ZCB_KIND_CLIXML, &given))
        return false;
    if (!get_buffer(data, &payload->view))
        return false;
    payload->kind = kind ? (uint32_t)given : kind_of(state, data, payload->view.len);
    return true;
}

void native_payload_release(native_payload *payload)
{
    PyBuffer_Release(&payload->view);
}
