using System;
using System.Runtime.InteropServices;
using System.Text;
using ZeroCopyBridge.Compatibility;

namespace ZeroCopyBridge.Native;

/// <summary>Converts text from and for libzcb.</summary>
internal static unsafe class NativeText
{
    /// <summary>The sentence for an error.</summary>
    public static string Of(ZcbError error) =>
        Runtime.TextAt(NativeMethods.zcb_error_text((int)error)) ?? error.ToString();

    public static string Of(in ZcbDetail detail)
    {
        fixed (byte* text = detail.Text)
        {
            return Runtime.TextAt(text) ?? string.Empty;
        }
    }

    /// <summary>Writes a detail, cut at its size.</summary>
    public static void Write(string text, ref ZcbDetail detail)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        fixed (byte* to = detail.Text)
        {
            Marshal.Copy(utf8, 0, (nint)to, Math.Min(utf8.Length, ZcbDetail.Size - 1));
        }
    }

    /// <summary>UTF-8 with a NUL behind it.</summary>
    public static byte[] For(string text) => Encoding.UTF8.GetBytes(text + '\0');

    public static string Of(byte* text, nuint bytes) => Encoding.UTF8.GetString(text, checked((int)bytes));
}
