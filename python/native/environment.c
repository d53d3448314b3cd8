/* The environment of a session: {name: value} becomes "NAME=VALUE", and {name: None} becomes "NAME",
 * which removes the variable. */
#include "native.h"

static bool check_name(PyObject *name)
{
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "environment: a name must be a str, not %.200s",
                     Py_TYPE(name)->tp_name);
        return false;
    }
    Py_ssize_t length = PyUnicode_GetLength(name);
    Py_ssize_t equals = PyUnicode_FindChar(name, '=', 0, length, 1);
    Py_ssize_t nul = PyUnicode_FindChar(name, 0, 0, length, 1);
    if (length > 0 && equals == -1 && nul == -1)
        return true;
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_ValueError,
                     "environment: a name must not be empty or hold '=' or NUL: %R", name);
    return false;
}

static bool check_value(PyObject *name, PyObject *value)
{
    if (value == Py_None)
        return true;
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "environment: %U must be a str or None, not %.200s", name,
                     Py_TYPE(value)->tp_name);
        return false;
    }
    Py_ssize_t nul = PyUnicode_FindChar(value, 0, 0, PyUnicode_GetLength(value), 1);
    if (nul == -1)
        return true;
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "environment: %U must not hold NUL: %R", name, value);
    return false;
}

/* An entry as bytes, in the encoding of file names, as in os.environ. */
static PyObject *make_entry(PyObject *item)
{
    if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
        PyErr_SetString(PyExc_TypeError,
                        "environment: its items() must return pairs of name and value");
        return NULL;
    }
    PyObject *name = PyTuple_GET_ITEM(item, 0);
    PyObject *value = PyTuple_GET_ITEM(item, 1);
    if (!check_name(name) || !check_value(name, value))
        return NULL;
    if (value == Py_None)
        return PyUnicode_EncodeFSDefault(name);
    PyObject *text = PyUnicode_FromFormat("%U=%U", name, value);
    PyObject *entry = text ? PyUnicode_EncodeFSDefault(text) : NULL;
    Py_XDECREF(text);
    return entry;
}

static bool fill(native_environment *environment, PyObject *items)
{
    Py_ssize_t count = PyList_GET_SIZE(items);
    environment->entries = PyMem_Calloc((size_t)count + 1, sizeof *environment->entries);
    environment->owner = PyList_New(count);
    if (!environment->entries || !environment->owner) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *entry = make_entry(PyList_GET_ITEM(items, i));
        if (!entry)
            return false;
        PyList_SET_ITEM(environment->owner, i, entry);
        environment->entries[i] = PyBytes_AS_STRING(entry);
    }
    return true;
}

bool native_environment_make(PyObject *mapping, native_environment *environment)
{
    *environment = (native_environment){0};
    if (mapping == Py_None)
        return true;
    if (!PyMapping_Check(mapping) || PyUnicode_Check(mapping)) {
        PyErr_Format(PyExc_TypeError,
                     "environment must be a mapping of names to values, not %.200s",
                     Py_TYPE(mapping)->tp_name);
        return false;
    }
    PyObject *items = PyMapping_Items(mapping);
    bool filled = items && fill(environment, items);
    Py_XDECREF(items);
    if (!filled)
        native_environment_free(environment);
    return filled;
}

void native_environment_free(native_environment *environment)
{
    PyMem_Free(environment->entries);
    Py_XDECREF(environment->owner);
    *environment = (native_environment){0};
}
