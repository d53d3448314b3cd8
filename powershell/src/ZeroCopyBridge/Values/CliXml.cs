using System;
using System.Management.Automation;
using System.Text;
using ZeroCopyBridge.Compatibility;

namespace ZeroCopyBridge.Values;

/// <summary>PowerShell objects as text, in the form that Export-Clixml writes to a file.</summary>
internal static class CliXml
{
    /// <summary>The depth of Export-Clixml.</summary>
    public const int DefaultDepth = 2;

    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <exception cref="TransferException">The value can't be serialized.</exception>
    public static byte[] Serialize(object? value, int depth)
    {
        try
        {
            return s_utf8.GetBytes(PSSerializer.Serialize(value, depth));
        }
        catch (Exception failure) when (failure is not PipelineStoppedException)
        {
            throw new TransferException($"The value cannot be serialized: {failure.Message}", failure);
        }
    }

    /// <exception cref="TransferException">The text isn't that of a serialized object.</exception>
    public static object? Deserialize(ReadOnlySpan<byte> utf8)
    {
        try
        {
            return PSSerializer.Deserialize(s_utf8.GetString(utf8));
        }
        catch (Exception failure) when (failure is not PipelineStoppedException)
        {
            throw new TransferException($"The message is not a serialized PowerShell object: {failure.Message}", failure);
        }
    }
}
