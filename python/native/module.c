/* The module virtualshell._native: its types, constants and find_engine. */
#include "native.h"

#define PATH_BYTES 4096

PyDoc_STRVAR(find_engine_doc, "find_engine($module, /, given=None)\n--\n\n"
                              "(path, origin) of the engine; Error with the places that were\n"
                              "searched.");

static PyObject *find_engine(PyObject *module, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords)
{
    static const native_signature signature = {"find_engine", 0, 1, {"given"}};
    PyObject *values[NATIVE_MOST_PARAMETERS];
    PyObject *given = NULL;
    if (!native_arguments(&signature, args, count, keywords, values))
        return NULL;
    if (values[0] && values[0] != Py_None && !PyUnicode_FSConverter(values[0], &given))
        return NULL;
    char path[PATH_BYTES];
    const char *origin;
    zcb_detail why = {{0}};
    zcb_error error;
    Py_BEGIN_ALLOW_THREADS
    error =
        zcb_engine_find(given ? PyBytes_AS_STRING(given) : NULL, path, sizeof path, &origin, &why);
    Py_END_ALLOW_THREADS
    Py_XDECREF(given);
    if (error)
        return native_raise(PyModule_GetState(module), error, why.text);
    return Py_BuildValue("(Ns)", PyUnicode_DecodeFSDefault(path), origin);
}

PyDoc_STRVAR(engine_folder_doc,
             "engine_folder($module, /)\n--\n\n"
             "Where find_engine looks for an engine that was installed for this\n"
             "library; Error for a user without a folder for data.");

static PyObject *engine_folder(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    char path[PATH_BYTES];
    zcb_error error = zcb_engine_folder(path, sizeof path);
    if (error)
        return native_raise(PyModule_GetState(module), error, NULL);
    return PyUnicode_DecodeFSDefault(path);
}

static PyMethodDef methods[] = {
    {"engine_folder", engine_folder, METH_NOARGS, engine_folder_doc},
    {"find_engine", NATIVE_METHOD(find_engine), METH_FASTCALL | METH_KEYWORDS, find_engine_doc},
    {NULL, NULL, 0, NULL},
};

static bool add_type(PyObject *module, PyType_Spec *spec, PyObject *base, PyTypeObject **slot)
{
    PyObject *bases = base ? PyTuple_Pack(1, base) : NULL;
    if (base && !bases)
        return false;
    *slot = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, bases);
    Py_XDECREF(bases);
    return *slot && PyModule_AddType(module, *slot) == 0;
}

/* Does what Py_TPFLAGS_DISALLOW_INSTANTIATION does in newer versions of Python. */
static void forbid_instantiation(PyTypeObject *type)
{
#if PY_VERSION_HEX < 0x030A0000
    type->tp_new = NULL;
#else
    (void)type;
#endif
}

static bool add_types(PyObject *module, native_state *state)
{
    if (!add_type(module, &native_clixml_spec, (PyObject *)&PyBytes_Type, &state->clixml) ||
        !add_type(module, &native_result_spec, NULL, &state->result) ||
        !add_type(module, &native_allocation_spec, NULL, &state->allocation) ||
        !add_type(module, &native_lease_spec, NULL, &state->lease) ||
        !add_type(module, &native_session_spec, NULL, &state->session) ||
        !add_type(module, &native_bridge_spec, NULL, &state->bridge))
        return false;
    forbid_instantiation(state->result);
    forbid_instantiation(state->allocation);
    forbid_instantiation(state->lease);
    return native_errors_create(state) &&
           PyModule_AddType(module, (PyTypeObject *)state->error) == 0 &&
           PyModule_AddType(module, (PyTypeObject *)state->timeout) == 0 &&
           PyModule_AddType(module, (PyTypeObject *)state->out_of_memory) == 0;
}

/* As PyModule_AddIntConstant, whose long has 32 bits on Windows. */
static bool add_constant(PyObject *module, const char *name, long long value)
{
    PyObject *number = PyLong_FromLongLong(value);
    if (number && PyModule_AddObject(module, name, number) == 0)
        return true;
    Py_XDECREF(number);
    return false;
}

static bool add_constants(PyObject *module)
{
    static const struct {
        const char *name;
        long long value;
    } constants[] = {
        {"OP_RUN", ZCB_OP_RUN},
        {"OP_RECEIVE", ZCB_OP_RECEIVE},
        {"OP_SEND", ZCB_OP_SEND},
        {"STATUS_DONE", ZCB_STATUS_DONE},
        {"STATUS_STOPPED", ZCB_STATUS_STOPPED},
        {"STATUS_TIMED_OUT", ZCB_STATUS_TIMED_OUT},
        {"STATUS_EXITED", ZCB_STATUS_EXITED},
        {"STATUS_LOST", ZCB_STATUS_LOST},
        {"KIND_BYTES", ZCB_KIND_BYTES},
        {"KIND_CLIXML", ZCB_KIND_CLIXML},
        {"KIND_ERROR", ZCB_KIND_ERROR},
        {"MIN_FRAME_BYTES", ZCB_MIN_FRAME_BYTES},
        {"MAX_FRAME_BYTES", ZCB_MAX_FRAME_BYTES},
        {"MIN_WINDOW_BYTES", ZCB_MIN_WINDOW_BYTES},
        {"MAX_WINDOW_BYTES", ZCB_MAX_WINDOW_BYTES},
        {"MAX_LABEL_BYTES", ZCB_MAX_LABEL_BYTES},
    };
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (!add_constant(module, constants[i].name, constants[i].value))
            return false;
    return PyModule_AddStringConstant(module, "VERSION", zcb_version()) == 0;
}

static int module_exec(PyObject *module)
{
    bool ready = native_wait_setup() && add_types(module, PyModule_GetState(module)) &&
                 add_constants(module);
    return ready ? 0 : -1;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    native_state *state = PyModule_GetState(module);
    Py_VISIT(state->allocation);
    Py_VISIT(state->bridge);
    Py_VISIT(state->clixml);
    Py_VISIT(state->lease);
    Py_VISIT(state->result);
    Py_VISIT(state->session);
    Py_VISIT(state->error);
    Py_VISIT(state->timeout);
    Py_VISIT(state->out_of_memory);
    return 0;
}

static int module_clear(PyObject *module)
{
    native_state *state = PyModule_GetState(module);
    Py_CLEAR(state->allocation);
    Py_CLEAR(state->bridge);
    Py_CLEAR(state->clixml);
    Py_CLEAR(state->lease);
    Py_CLEAR(state->result);
    Py_CLEAR(state->session);
    Py_CLEAR(state->error);
    Py_CLEAR(state->timeout);
    Py_CLEAR(state->out_of_memory);
    return 0;
}

static void module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, NATIVE_SLOT(module_exec)},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "virtualshell._native",
    .m_doc = "libzcb's sessions and bridges as Python objects. Internal; use `virtualshell`.",
    .m_size = sizeof(native_state),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__native(void);

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
