using System;
using ZeroCopyBridge.Compatibility;

namespace ZeroCopyBridge.Native;

/// <summary>Arrays whose bytes will all be written.</summary>
internal static unsafe class FreshArray
{
    /// <summary>An array that is not cleared. It is on huge pages if that pays.</summary>
    /// <exception cref="OutOfMemoryException">There is no memory for it.</exception>
    public static byte[] Allocate(int length)
    {
        byte[] array = Runtime.AllocateArray(length);
        fixed (byte* bytes = array)
        {
            NativeMethods.zcb_advise_huge(bytes, (nuint)length);
        }

        return array;
    }
}
