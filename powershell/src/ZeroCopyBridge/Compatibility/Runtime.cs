using System;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace ZeroCopyBridge.Compatibility;

/// <summary>What .NET does by a call of its own, and .NET Framework, which Windows PowerShell 5.1 runs on, by another way.</summary>
internal static unsafe class Runtime
{
    /// <summary>True on Windows, whichever .NET this is.</summary>
    public static readonly bool IsWindows = Environment.OSVersion.Platform == PlatformID.Win32NT;

    /// <summary>How programs encode what they write: Windows' own in the code page of their console.</summary>
    public static Encoding ConsoleEncoding => IsWindows ? Console.OutputEncoding : Encoding.UTF8;

#if NET
    /// <summary>The most elements that an array of bytes or characters can have.</summary>
    public static readonly int MostElements = Array.MaxLength;

    /// <summary>An array that is not cleared, where the runtime can give one.</summary>
    public static byte[] AllocateArray(int length) => GC.AllocateUninitializedArray<byte>(length);

    /// <summary>Time since <see cref="Stopwatch.GetTimestamp"/> gave <paramref name="start"/>.</summary>
    public static TimeSpan Elapsed(long start) => Stopwatch.GetElapsedTime(start);

    /// <summary>The text at an address, up to its NUL; null for no address.</summary>
    public static string? TextAt(byte* utf8) => Marshal.PtrToStringUTF8((nint)utf8);
#else
    public const int MostElements = 0x7FFFFFC7;

    public static byte[] AllocateArray(int length) => new byte[length];

    public static TimeSpan Elapsed(long start) =>
        TimeSpan.FromSeconds((Stopwatch.GetTimestamp() - start) / (double)Stopwatch.Frequency);

    public static string? TextAt(byte* utf8)
    {
        if (utf8 == null)
        {
            return null;
        }

        int length = 0;
        while (utf8[length] != 0)
        {
            length++;
        }

        return Encoding.UTF8.GetString(utf8, length);
    }
#endif
}
