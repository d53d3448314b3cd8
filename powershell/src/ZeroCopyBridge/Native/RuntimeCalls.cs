using System;
using System.Runtime.InteropServices;
using ZeroCopyBridge.Compatibility;

namespace ZeroCopyBridge.Native;

/// <summary>
/// What libzcb asks of this runtime, on any thread: arrays for messages, and the end of what it was given. What it
/// has of this runtime is an owner, a <see cref="GCHandle"/>.
/// </summary>
internal static unsafe class RuntimeCalls
{
    // Their addresses are libzcb's for good.
    private static readonly AllocateCall s_allocate = Allocate;
    private static readonly ReleaseCall s_release = Release;
    private static readonly ReclaimCall s_reclaim = Reclaim;

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate nint AllocateCall(nint argument, ulong bytes, out nint data, out ZcbDetail why);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate void ReleaseCall(nint argument, nint owner);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate void ReclaimCall(nint argument, byte wait);

    /// <summary>The functions for <c>zcb_agent_open</c>.</summary>
    public static readonly ZcbRuntime Table = new()
    {
        Allocate = Marshal.GetFunctionPointerForDelegate(s_allocate),
        Release = Marshal.GetFunctionPointerForDelegate(s_release),
        Reclaim = Marshal.GetFunctionPointerForDelegate(s_reclaim),
    };

    /// <summary>An owner that keeps <paramref name="value"/> until <see cref="Take"/>.</summary>
    public static nint Keep(object value) => GCHandle.ToIntPtr(GCHandle.Alloc(value));

    /// <summary>The same for an array, which stays where it is: at <paramref name="data"/>.</summary>
    public static nint Pin(byte[] array, out nint data)
    {
        GCHandle handle = GCHandle.Alloc(array, GCHandleType.Pinned);
        data = handle.AddrOfPinnedObject();
        return GCHandle.ToIntPtr(handle);
    }

    /// <summary>What an owner stands for; ends it.</summary>
    public static object Take(nint owner)
    {
        GCHandle handle = GCHandle.FromIntPtr(owner);
        object value = handle.Target!;
        handle.Free();
        return value;
    }

    private static nint Allocate(nint argument, ulong bytes, out nint data, out ZcbDetail why)
    {
        data = 0;
        why = default;
        if (bytes > (ulong)Runtime.MostElements)
        {
            NativeText.Write($"The message has {bytes} bytes, and a .NET array holds at most {Runtime.MostElements}: send it in parts.", ref why);
            return 0;
        }

        try
        {
            return Pin(FreshArray.Allocate((int)bytes), out data);
        }
        catch (OutOfMemoryException)
        {
            return 0; // libzcb says so
        }
    }

    private static void Release(nint argument, nint owner)
    {
        if (Take(owner) is Lease lease)
        {
            lease.LetGo();
        }
    }

    private static void Reclaim(nint argument, byte wait)
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: wait != 0);
        if (wait != 0)
        {
            GC.WaitForPendingFinalizers();
        }
    }
}
