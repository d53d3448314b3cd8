#if !NET
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;

namespace ZeroCopyBridge.Compatibility;

/// <summary>Overloads that .NET has and .NET Framework lacks. They do the same as in .NET.</summary>
internal static unsafe class Overloads
{
    public static string[] Split(this string text, char separator, StringSplitOptions options) =>
        text.Split(new[] { separator }, options);

    public static string[] Split(this string text, char separator, int count) =>
        text.Split(new[] { separator }, count);

    public static bool Remove<TKey, TValue>(this Dictionary<TKey, TValue> entries, TKey key, out TValue value) =>
        entries.TryGetValue(key, out value) && entries.Remove(key);

    public static bool TryDequeue<T>(this Queue<T> queue, out T item)
    {
        bool any = queue.Count > 0;
        item = any ? queue.Dequeue() : default!;
        return any;
    }

    public static string GetString(this Encoding encoding, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* pointer = bytes)
        {
            return pointer == null ? string.Empty : encoding.GetString(pointer, bytes.Length);
        }
    }

    // The old overloads refuse null, and an empty span is pinned as null. So an empty span gets an address here.
    public static int GetChars(this Decoder decoder, ReadOnlySpan<byte> bytes, Span<char> chars, bool flush)
    {
        byte noByte;
        char noChar;
        fixed (byte* from = bytes)
        fixed (char* to = chars)
        {
            return decoder.GetChars(from == null ? &noByte : from, bytes.Length, to == null ? &noChar : to, chars.Length, flush);
        }
    }

    public static int GetByteCount(this Encoder encoder, ReadOnlySpan<char> chars, bool flush)
    {
        char noChar;
        fixed (char* from = chars)
        {
            return encoder.GetByteCount(from == null ? &noChar : from, chars.Length, flush);
        }
    }

    public static int GetBytes(this Encoder encoder, ReadOnlySpan<char> chars, Span<byte> bytes, bool flush)
    {
        char noChar;
        byte noByte;
        fixed (char* from = chars)
        fixed (byte* to = bytes)
        {
            return encoder.GetBytes(from == null ? &noChar : from, chars.Length, to == null ? &noByte : to, bytes.Length, flush);
        }
    }

    public static void ReadSpan<T>(this SafeBuffer buffer, ulong byteOffset, Span<T> destination)
        where T : unmanaged
    {
        if (byteOffset + (ulong)destination.Length * (ulong)sizeof(T) > buffer.ByteLength)
        {
            throw new ArgumentException("It is longer than the buffer.", nameof(destination));
        }

        byte* pointer = null;
        buffer.AcquirePointer(ref pointer);
        try
        {
            new ReadOnlySpan<T>(pointer + byteOffset, destination.Length).CopyTo(destination);
        }
        finally
        {
            buffer.ReleasePointer();
        }
    }
}
#endif
