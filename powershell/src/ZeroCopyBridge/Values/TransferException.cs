using System;

namespace ZeroCopyBridge.Values;

/// <summary>Why a value can't be taken or given, in a sentence for the user.</summary>
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
