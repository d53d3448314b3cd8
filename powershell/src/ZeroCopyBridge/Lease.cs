using System;
using System.IO;
using System.Runtime.InteropServices;
using ZeroCopyBridge.Compatibility;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge;

/// <summary>
/// Bytes in the memory that both processes share: a message that was received in place
/// (<c>receive_to_powershell("$x", lease=True)</c>; read-only), or memory to be filled and sent without a copy
/// (<c>New-ZeroCopyLease</c>; writable, until it is sent).
/// </summary>
/// <remarks>
/// <see cref="Dispose"/>, or the garbage collector, gives the memory back to its bridge. A lease outlives bridge and
/// program. After <see cref="Dispose"/>, the indexer and <see cref="Stream"/> throw
/// <see cref="ObjectDisposedException"/>, and a <see cref="Span"/> must not be used. Members may be called from any thread.
/// </remarks>
public sealed class Lease : IDisposable
{
    private readonly bool _isReadOnly;

    internal Lease(SafeBuffer memory, bool isReadOnly, bool isInPlace)
    {
        Memory = memory;
        _isReadOnly = isReadOnly;
        IsInPlace = isInPlace;
        Length = (long)memory.ByteLength;
    }

    /// <summary>The number of bytes.</summary>
    public long Length { get; }

    /// <summary>True for a received message: its bytes can only be read.</summary>
    public bool IsReadOnly => _isReadOnly;

    /// <summary>False if the frame had no room for the message, so that this is a private copy of it.</summary>
    public bool IsInPlace { get; }

    /// <summary>All bytes, for reading. Valid until <see cref="Dispose"/>: keep the lease alive while you use them.</summary>
    /// <exception cref="ObjectDisposedException">It was disposed of.</exception>
    /// <exception cref="OverflowException">It is longer than a span can be (2 GiB): use <see cref="Stream"/>.</exception>
    public ReadOnlySpan<byte> Span => WholeSpan();

    /// <summary>All bytes, for writing. Valid until <see cref="Dispose"/>: keep the lease alive while you use them.</summary>
    /// <exception cref="InvalidOperationException">It is read-only.</exception>
    /// <exception cref="ObjectDisposedException">It was disposed of.</exception>
    /// <exception cref="OverflowException">It is longer than a span can be (2 GiB): use <see cref="Stream"/>.</exception>
    public Span<byte> WritableSpan
    {
        get
        {
            RequireWritable();
            return WholeSpan();
        }
    }

    /// <summary>A new stream over all bytes, from the first one on.</summary>
    /// <exception cref="ObjectDisposedException">It was disposed of.</exception>
    public Stream Stream => new UnmanagedMemoryStream(
        Memory, offset: 0, Length, _isReadOnly ? FileAccess.Read : FileAccess.ReadWrite);

    internal SafeBuffer Memory { get; }

    /// <summary>One byte.</summary>
    /// <param name="index">From 0; a negative one counts from the end, as for arrays in PowerShell.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such byte.</exception>
    /// <exception cref="InvalidOperationException">The byte is set, but the lease is read-only.</exception>
    /// <exception cref="ObjectDisposedException">It was disposed of.</exception>
    public byte this[long index]
    {
        get => Memory.Read<byte>(Place(index));
        set
        {
            RequireWritable();
            Memory.Write(Place(index), value);
        }
    }

    /// <summary>A copy of all bytes.</summary>
    /// <exception cref="ObjectDisposedException">It was disposed of.</exception>
    /// <exception cref="OverflowException">It is longer than an array can be.</exception>
    public byte[] ToArray()
    {
        byte[] copy = FreshArray.Allocate(checked((int)Length));
        Memory.ReadSpan<byte>(byteOffset: 0, copy);
        return copy;
    }

    /// <summary>Gives the memory back. Further calls do nothing.</summary>
    public void Dispose() => Memory.Dispose();

    /// <inheritdoc/>
    public override string ToString() => $"{Length} bytes{(_isReadOnly ? string.Empty : ", writable")}";

    /// <summary>Keeps the memory until <see cref="LetGo"/>, even after <see cref="Dispose"/>; false if that was called before.</summary>
    internal bool TryKeep()
    {
        bool kept = false;
        try
        {
            Memory.DangerousAddRef(ref kept);
        }
        catch (ObjectDisposedException)
        {
        }

        return kept;
    }

    internal void LetGo() => Memory.DangerousRelease();

    internal static Lease Of(byte[] copy) => new(new ArrayMemory(copy), isReadOnly: true, isInPlace: false);

    private ulong Place(long index)
    {
        long place = index < 0 ? index + Length : index;
        return place >= 0 && place < Length
            ? (ulong)place
            : throw new ArgumentOutOfRangeException(nameof(index), index, $"The lease has {Length} bytes.");
    }

    private void RequireWritable()
    {
        if (_isReadOnly)
        {
            throw new InvalidOperationException("A lease of a received message is read-only: change a copy of it, which ToArray() gives.");
        }
    }

    private unsafe Span<byte> WholeSpan()
    {
        byte* bytes = null;
        Memory.AcquirePointer(ref bytes);
        try
        {
            return new Span<byte>(bytes, checked((int)Length));
        }
        finally
        {
            Memory.ReleasePointer();
        }
    }
}
