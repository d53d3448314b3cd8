/* Allocation: memory of a bridge's frame, as a writable buffer to be filled in place. */
#include "native.h"

typedef struct AllocationObject {
    PyObject_HEAD zcb_block *block;
    PyObject *weak_references;
} AllocationObject;

PyObject *native_allocation_wrap(native_state *state, zcb_block *block)
{
    AllocationObject *self = (AllocationObject *)state->allocation->tp_alloc(state->allocation, 0);
    if (self)
        self->block = block;
    else
        zcb_block_free(block);
    return (PyObject *)self;
}

static void allocation_dealloc(PyObject *object)
{
    AllocationObject *self = (AllocationObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak_references)
        PyObject_ClearWeakRefs(object);
    Py_BEGIN_ALLOW_THREADS
    zcb_block_free(self->block);
    Py_END_ALLOW_THREADS
    type->tp_free(object);
    Py_DECREF(type);
}

/* Every view holds a reference to the object, so the views need not be counted. */
static int allocation_get_buffer(PyObject *object, Py_buffer *view, int flags)
{
    const zcb_block *block = ((AllocationObject *)object)->block;
    return PyBuffer_FillInfo(view, object, zcb_block_data(block),
                             (Py_ssize_t)zcb_block_bytes(block), 0, flags);
}

static Py_ssize_t allocation_length(PyObject *object)
{
    return (Py_ssize_t)zcb_block_bytes(((AllocationObject *)object)->block);
}

static PyMethodDef allocation_methods[] = {
    {"__reduce__", native_refuse_copy, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef allocation_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(AllocationObject, weak_references), Py_READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    allocation_doc,
    "Memory of a bridge's frame, as a writable buffer. A send on that bridge that begins at\n"
    "its first byte makes no copy, once.");

static PyType_Slot allocation_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)allocation_doc},
    {Py_tp_dealloc, NATIVE_SLOT(allocation_dealloc)},
    {Py_tp_traverse, NATIVE_SLOT(native_traverse_type)},
    {Py_tp_methods, allocation_methods},
    {Py_tp_members, allocation_members},
    {Py_sq_length, NATIVE_SLOT(allocation_length)},
    {Py_bf_getbuffer, NATIVE_SLOT(allocation_get_buffer)},
    {0, NULL},
};

PyType_Spec native_allocation_spec = {
    .name = "virtualshell._native.Allocation",
    .basicsize = sizeof(AllocationObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = allocation_slots,
};
