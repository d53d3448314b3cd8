using System;
using System.Diagnostics;
using System.Text;
using ZeroCopyBridge.Native;
using ZeroCopyBridge.Values;

namespace ZeroCopyBridge.Agent;

/// <summary>A message on its way to the program: the value of a SEND command, or why there is none.</summary>
internal sealed class PostedSend
{
    private readonly long _start = Stopwatch.GetTimestamp();

    private PostedSend(ulong id, ZcbKind kind, byte[] payload)
    {
        Id = id;
        Kind = kind;
        Payload = payload;
    }

    public ulong Id { get; }

    public ZcbKind Kind { get; }

    /// <summary>For a byte[] the user's own array.</summary>
    public byte[] Payload { get; }

    /// <summary>True when its command ends with it; the command of an error message has ended already.</summary>
    public bool Completes => Kind != ZcbKind.Error;

    /// <summary>Set under the outbox's lock when it is stopped while it goes out.</summary>
    public bool Withdrawn { get; set; }

    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_start);

    public static PostedSend Value(ulong id, in OutgoingValue value) =>
        new(id, value.IsCliXml ? ZcbKind.CliXml : ZcbKind.Bytes, value.Bytes);

    public static PostedSend Error(ulong id, string text) => new(id, ZcbKind.Error, Encoding.UTF8.GetBytes(text));
}
