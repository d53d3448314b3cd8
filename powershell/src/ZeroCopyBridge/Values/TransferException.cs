using System;

namespace ZeroCopyBridge.Values;

/// <summary>A value can't be received or sent. The message says why, for the user.</summary>
internal sealed class TransferException : Exception
{
    public TransferException(string message)
        : base(message)
    {
    }

    public TransferException(string message, Exception cause)
        : base(message, cause)
    {
    }
}
