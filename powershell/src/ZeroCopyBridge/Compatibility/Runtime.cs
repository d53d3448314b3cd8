using System;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace ZeroCopyBridge.Compatibility;

/// <summary>Functions that .NET has, and their replacements for .NET Framework, on which Windows PowerShell 5.1 runs.</summary>
internal static unsafe class Runtime
{
    /// <summary>True on Windows, with .NET and with .NET Framework.</summary>
    public static readonly bool IsWindows = Environment.OSVersion.Platform == PlatformID.Win32NT;

    /// <summary>The encoding in which programs write. On Windows it is the code page of their console.</summary>
    public static Encoding ConsoleEncoding => IsWindows ? Console.OutputEncoding : Encoding.UTF8;

#if NET
    /// <summary>The most elements that an array of bytes or characters can have.</summary>
    public static readonly int MostElements = Array.MaxLength;

    /// <summary>An array that is not cleared, if the runtime can make one.</summary>
    public static byte[] AllocateArray(int length) => GC.AllocateUninitializedArray<byte>(length);

    /// <summary>The time since <see cref="Stopwatch.GetTimestamp"/> returned <paramref name="start"/>.</summary>
    public static TimeSpan Elapsed(long start) => Stopwatch.GetElapsedTime(start);

    /// <summary>The text at an address, up to its NUL; null for a null address.</summary>
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
