/* Lease: a received message in place, or its private copy, as a read-only buffer. */
#include "native.h"

typedef struct LeaseObject {
    PyObject_HEAD native_block block;
    uint32_t kind;
    PyObject *weak_references;
} LeaseObject;

/* The address of a message of no bytes: some consumers of buffers need one that is not NULL. */
static char nothing[1];

void native_block_free(native_block *block)
{
    if (block->lease)
        zcb_lease_free(block->lease);
    PyMem_RawFree(block->copy);
    *block = (native_block){0};
}

PyObject *native_lease_wrap(native_state *state, uint32_t kind, native_block *block)
{
    LeaseObject *self = (LeaseObject *)state->lease->tp_alloc(state->lease, 0);
    if (!self) {
        Py_BEGIN_ALLOW_THREADS
        native_block_free(block);
        Py_END_ALLOW_THREADS
        return NULL;
    }
    self->block = *block;
    self->kind = kind;
    return (PyObject *)self;
}

uint32_t native_lease_kind(native_state *state, PyObject *object)
{
    return Py_IS_TYPE(object, state->lease) ? ((LeaseObject *)object)->kind : 0;
}

static void lease_dealloc(PyObject *object)
{
    LeaseObject *self = (LeaseObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak_references)
        PyObject_ClearWeakRefs(object);
    Py_BEGIN_ALLOW_THREADS
    native_block_free(&self->block);
    Py_END_ALLOW_THREADS
    type->tp_free(object);
    Py_DECREF(type);
}

/* Every view holds a reference to the lease, so the views need not be counted. */
static int lease_get_buffer(PyObject *object, Py_buffer *view, int flags)
{
    LeaseObject *self = (LeaseObject *)object;
    const void *data = self->block.lease ? zcb_lease_data(self->block.lease) : self->block.copy;
    if (!data)
        data = nothing;
    return PyBuffer_FillInfo(view, object, (void *)(uintptr_t)data, (Py_ssize_t)self->block.bytes,
                             1, flags);
}

static Py_ssize_t lease_length(PyObject *self)
{
    return (Py_ssize_t)((LeaseObject *)self)->block.bytes;
}

static PyObject *get_kind(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(((LeaseObject *)self)->kind);
}

static PyObject *get_in_place(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((LeaseObject *)self)->block.lease != NULL);
}

static PyMethodDef lease_methods[] = {
    {"__reduce__", native_refuse_copy, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef lease_getset[] = {
    {"kind", get_kind, NULL, "KIND_BYTES, KIND_CLIXML or KIND_ERROR.", NULL},
    {"in_place", get_in_place, NULL,
     "False: the frame had no room for the message, and this is a private copy.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef lease_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(LeaseObject, weak_references), Py_READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(lease_doc,
             "A received message held in place, or its private copy: a read-only buffer.\n"
             "memoryview(lease).obj is the lease, so sending a view keeps the kind.");

static PyType_Slot lease_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)lease_doc},
    {Py_tp_dealloc, NATIVE_SLOT(lease_dealloc)},
    {Py_tp_traverse, NATIVE_SLOT(native_traverse_type)},
    {Py_tp_methods, lease_methods},
    {Py_tp_getset, lease_getset},
    {Py_tp_members, lease_members},
    {Py_sq_length, NATIVE_SLOT(lease_length)},
    {Py_bf_getbuffer, NATIVE_SLOT(lease_get_buffer)},
    {0, NULL},
};

PyType_Spec native_lease_spec = {
    .name = "virtualshell._native.Lease",
    .basicsize = sizeof(LeaseObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = lease_slots,
};
