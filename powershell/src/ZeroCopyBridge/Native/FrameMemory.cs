using System;
using System.Runtime.InteropServices;

namespace ZeroCopyBridge.Native;

/// <summary>Owns a <c>zcb_lease</c>: a received message in place.</summary>
internal sealed unsafe class LeasedMemory : SafeBuffer
{
    private readonly nint _lease;

    public LeasedMemory(nint lease)
        : base(ownsHandle: true)
    {
        _lease = lease;
        SetHandle((nint)NativeMethods.zcb_lease_data(lease));
        Initialize(NativeMethods.zcb_lease_bytes(lease));
    }

    protected override bool ReleaseHandle()
    {
        NativeMethods.zcb_lease_free(_lease);
        return true;
    }
}

/// <summary>Owns a <c>zcb_block</c>: memory to be filled and sent.</summary>
internal sealed unsafe class BlockMemory : SafeBuffer
{
    private readonly nint _block;

    public BlockMemory(nint block)
        : base(ownsHandle: true)
    {
        _block = block;
        SetHandle((nint)NativeMethods.zcb_block_data(block));
        Initialize(NativeMethods.zcb_block_bytes(block));
    }

    protected override bool ReleaseHandle()
    {
        NativeMethods.zcb_block_free(_block);
        return true;
    }
}

/// <summary>Owns a pinned array: the copy of a message that could not be held in place.</summary>
internal sealed class ArrayMemory : SafeBuffer
{
    private GCHandle _array;

    public ArrayMemory(byte[] array)
        : base(ownsHandle: true)
    {
        _array = GCHandle.Alloc(array, GCHandleType.Pinned);
        SetHandle(_array.AddrOfPinnedObject());
        Initialize((ulong)array.Length);
    }

    protected override bool ReleaseHandle()
    {
        _array.Free();
        return true;
    }
}
