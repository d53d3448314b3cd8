/* libzcb's errors as Python exceptions. */
#include "native.h"

PyDoc_STRVAR(
    error_doc,
    "A libzcb error: its number `code`, its name `name` (\"ZCB_ERR_PEER_GONE\"), whether it\n"
    "is `final`, so that nothing goes any more on the session or channel that gave it, and for\n"
    "ZCB_ERR_REFUSED the id of the posted receive that failed, `refused_by`.");

PyDoc_STRVAR(timeout_doc, "ZCB_ERR_TIMEOUT.");
PyDoc_STRVAR(out_of_memory_doc, "ZCB_ERR_NO_MEMORY.");

/* An Error that is also of a built-in kind. */
static PyObject *create_kind(const char *name, const char *doc, PyObject *error, PyObject *built_in)
{
    PyObject *bases = PyTuple_Pack(2, error, built_in);
    PyObject *type = bases ? PyErr_NewExceptionWithDoc(name, doc, bases, NULL) : NULL;
    Py_XDECREF(bases);
    return type;
}

bool native_errors_create(native_state *state)
{
    PyObject *defaults = Py_BuildValue("{s:i,s:s,s:O,s:i}", "code", 0, "name", "", "final",
                                       Py_False, "refused_by", 0);
    if (!defaults)
        return false;
    state->error = PyErr_NewExceptionWithDoc("virtualshell._native.Error", error_doc,
                                             PyExc_RuntimeError, defaults);
    Py_DECREF(defaults);
    if (!state->error)
        return false;
    state->timeout =
        create_kind("virtualshell._native.Timeout", timeout_doc, state->error, PyExc_TimeoutError);
    state->out_of_memory = create_kind("virtualshell._native.OutOfMemory", out_of_memory_doc,
                                       state->error, PyExc_MemoryError);
    return state->timeout && state->out_of_memory;
}

/* "doing: sentence: detail". If a detail was cut within a character, %s replaces that character. */
static PyObject *describe(const char *doing, zcb_error error, const char *detail)
{
    bool more = detail && *detail && strcmp(detail, zcb_error_text(error)) != 0;
    return PyUnicode_FromFormat("%s%s%s%s%s", doing ? doing : "", doing ? ": " : "",
                                zcb_error_text(error), more ? ": " : "", more ? detail : "");
}

static bool set_attributes(PyObject *exception, zcb_error error, uint64_t refused_by)
{
    PyObject *attributes = PyObject_GetAttrString(exception, "__dict__");
    PyObject *values =
        Py_BuildValue("{s:i,s:s,s:O,s:K}", "code", (int)error, "name", zcb_error_name(error),
                      "final", zcb_error_is_final(error) ? Py_True : Py_False, "refused_by",
                      (unsigned long long)refused_by);
    bool set = attributes && values && PyDict_Update(attributes, values) == 0;
    Py_XDECREF(values);
    Py_XDECREF(attributes);
    return set;
}

static void set_error(PyObject *type, zcb_error error, PyObject *text, uint64_t refused_by)
{
    PyObject *exception = PyObject_CallFunctionObjArgs(type, text, NULL);
    if (exception && set_attributes(exception, error, refused_by))
        PyErr_SetObject(type, exception);
    Py_XDECREF(exception);
}

static void set_exception(native_state *state, zcb_error error, PyObject *text, uint64_t refused_by)
{
    switch (error) {
    case ZCB_ERR_TIMEOUT:
        set_error(state->timeout, error, text, refused_by);
        break;
    case ZCB_ERR_NO_MEMORY:
        set_error(state->out_of_memory, error, text, refused_by);
        break;
    case ZCB_ERR_INVALID:
        PyErr_SetObject(PyExc_ValueError, text);
        break;
    default:
        set_error(state->error, error, text, refused_by);
    }
}

PyObject *native_raise_text(native_state *state, zcb_error error, PyObject *text)
{
    if (text)
        set_exception(state, error, text, 0);
    Py_XDECREF(text);
    return NULL;
}

PyObject *native_raise_in(native_state *state, const char *doing, zcb_error error,
                          const char *detail)
{
    /* A signal handler's exception has priority. */
    if (PyErr_Occurred())
        return NULL;
    return native_raise_text(state, error, describe(doing, error, detail));
}

PyObject *native_raise(native_state *state, zcb_error error, const char *detail)
{
    return native_raise_in(state, NULL, error, detail);
}

PyObject *native_raise_refused(native_state *state, uint64_t id)
{
    PyObject *text = PyUnicode_FromString(zcb_error_text(ZCB_ERR_REFUSED));
    if (text)
        set_exception(state, ZCB_ERR_REFUSED, text, id);
    Py_XDECREF(text);
    return NULL;
}

PyObject *native_raise_timeout(native_state *state, PyObject *what, double seconds,
                               const char *advice)
{
    char *number = PyOS_double_to_string(seconds, 'g', 6, 0, NULL);
    if (what && number)
        native_raise_text(state, ZCB_ERR_TIMEOUT,
                          PyUnicode_FromFormat("%U within %s s. %s", what, number, advice));
    else if (!PyErr_Occurred())
        PyErr_NoMemory();
    PyMem_Free(number);
    Py_XDECREF(what);
    return NULL;
}
