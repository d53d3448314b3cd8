using System;
using System.Runtime.InteropServices;
using System.Text;

namespace ZeroCopyBridge.Native;

/// <summary>Text that libzcb gives.</summary>
internal static unsafe class NativeText
{
    /// <summary>The sentence for an error.</summary>
    public static string Of(ZcbError error) =>
        Marshal.PtrToStringUTF8((nint)NativeMethods.zcb_error_text((int)error)) ?? error.ToString();

    public static string Of(in ZcbDetail detail)
    {
        fixed (byte* text = detail.Text)
        {
            return Marshal.PtrToStringUTF8((nint)text) ?? string.Empty;
        }
    }

    public static string Of(byte* text, nuint bytes) => Encoding.UTF8.GetString(text, checked((int)bytes));
}
