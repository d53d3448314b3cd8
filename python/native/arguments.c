/* Python arguments as C values. Parsed by hand for speed: a program may call Session.run a hundred
 * thousand times a second. */
#include "native.h"

#include <math.h>

static Py_ssize_t find_name(const native_signature *signature, PyObject *keyword)
{
    for (Py_ssize_t i = 0; i < signature->count; i++)
        if (PyUnicode_CompareWithASCIIString(keyword, signature->names[i]) == 0)
            return i;
    return -1;
}

static bool take_keywords(const native_signature *signature, PyObject *const *values,
                          PyObject *keywords, PyObject **sorted)
{
    Py_ssize_t count = PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(keywords, i);
        Py_ssize_t place = find_name(signature, keyword);
        if (place < 0) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'",
                         signature->function, keyword);
            return false;
        }
        if (sorted[place]) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'",
                         signature->function, keyword);
            return false;
        }
        sorted[place] = values[i];
    }
    return true;
}

bool native_arguments(const native_signature *signature, PyObject *const *args, Py_ssize_t count,
                      PyObject *keywords, PyObject *values[NATIVE_MOST_PARAMETERS])
{
    if (count > signature->count) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)",
                     signature->function, signature->count, count);
        return false;
    }
    for (Py_ssize_t i = 0; i < NATIVE_MOST_PARAMETERS; i++)
        values[i] = i < count ? args[i] : NULL;
    if (keywords && !take_keywords(signature, args + count, keywords, values))
        return false;
    for (Py_ssize_t i = count; i < signature->required; i++) {
        if (!values[i]) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s'",
                         signature->function, signature->names[i]);
            return false;
        }
    }
    return true;
}

const char *native_text(PyObject *value, const char *name, size_t *bytes)
{
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be a str, not %.200s", name,
                     Py_TYPE(value)->tp_name);
        return NULL;
    }
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    if (text)
        *bytes = (size_t)size;
    return text;
}

bool native_unsigned(PyObject *value, const char *name, uint64_t least, uint64_t most,
                     uint64_t *number)
{
    if (!PyIndex_Check(value) || PyBool_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an int, not %.200s", name,
                     Py_TYPE(value)->tp_name);
        return false;
    }
    PyObject *integer = PyNumber_Index(value);
    if (!integer)
        return false;
    *number = PyLong_AsUnsignedLongLong(integer);
    Py_DECREF(integer);
    bool overflow = PyErr_Occurred() != NULL;
    if (!overflow && *number >= least && *number <= most)
        return true;
    PyErr_Clear();
    PyErr_Format(PyExc_ValueError, "%s must be from %llu to %llu, not %R", name,
                 (unsigned long long)least, (unsigned long long)most, value);
    return false;
}

/* An int beyond the range of double counts as infinite. */
static bool int_as_seconds(PyObject *value, double *seconds)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    *seconds = overflow ? overflow * (double)INFINITY : (double)number;
    return !PyErr_Occurred();
}

static bool number_as_seconds(PyObject *value, const char *name, double *seconds)
{
    if (PyLong_Check(value) && !PyBool_Check(value))
        return int_as_seconds(value, seconds);
    const PyNumberMethods *methods = Py_TYPE(value)->tp_as_number;
    bool real = methods && (methods->nb_float || methods->nb_index);
    if (!real || PyBool_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be a number of seconds, not %.200s", name,
                     Py_TYPE(value)->tp_name);
        return false;
    }
    *seconds = PyFloat_AsDouble(value);
    return *seconds != -1.0 || !PyErr_Occurred();
}

static bool check_seconds(PyObject *value, const char *name, double seconds)
{
    if (seconds >= 0)
        return true;
    PyErr_Format(PyExc_ValueError, "%s must be a number of seconds, 0 or more, not %R", name,
                 value);
    return false;
}

bool native_seconds(PyObject *value, const char *name, double otherwise, double *seconds)
{
    *seconds = otherwise;
    if (!value)
        return true;
    return number_as_seconds(value, name, seconds) && check_seconds(value, name, *seconds);
}

bool native_timeout(PyObject *value, const char *name, double *seconds)
{
    return native_seconds(value == Py_None ? NULL : value, name, (double)INFINITY, seconds);
}
