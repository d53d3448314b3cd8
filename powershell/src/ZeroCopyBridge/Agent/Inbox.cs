using System;
using System.Collections.Generic;
using System.Threading;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>
/// The receiving side of one bridge. Posted receives wait here, not on the pipeline's thread: a thread of
/// its own takes their messages in; only a message that is complete already is taken by the pipeline's
/// thread itself. The program decides which message is for which receive and writes that into it.
/// </summary>
internal sealed class Inbox
{
    private readonly Channel _channel;
    private readonly Arrivals _arrivals;
    private readonly Replies _replies;

    // Everything below is under this lock, save the channel's receiving turn, which is _busy's.
    private readonly object _lock = new();
    private readonly List<PostedReceive> _posted = [];
    private readonly Queue<(ZcbKind Kind, byte[] Payload)> _queued = [];
    private CancelSource? _wake;
    private CancelSource? _giveUp;
    private Thread? _thread;
    private PostedReceive? _receiving;
    private ZcbMessage? _begun;
    private ulong _lastId;
    private bool _busy;
    private bool _dropped;
    private ulong _settled; // messages received whose arrival is entered: the channel's count runs ahead of it
    private string? _ended;

    public Inbox(Channel channel, Arrivals arrivals, Replies replies)
    {
        _channel = channel;
        _arrivals = arrivals;
        _replies = replies;
    }

    private enum Step
    {
        Wait,
        Deliver,
        Keep,
        Discard,
    }

    /// <summary>Notes a receive that failed before it could be posted: a message for it is to be discarded.</summary>
    public void Skip(ulong id)
    {
        lock (_lock)
        {
            _lastId = id;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Posts a receive; its message may be among the arrivals when this returns. The pipeline's thread only.</summary>
    public void Post(PostedReceive receive)
    {
        bool mine;
        string? ended;
        lock (_lock)
        {
            _lastId = receive.Id;
            ended = _ended;
            if (ended is null && receive.TakeQueued && _queued.TryDequeue(out (ZcbKind Kind, byte[] Payload) queued))
            {
                _arrivals.Add(new Arrival(receive, queued.Kind, queued.Payload), wake: false);
                return;
            }

            if (ended is null)
            {
                _posted.Add(receive);
            }

            mine = ended is null && !_busy;
            _busy |= mine;
            Monitor.PulseAll(_lock);
        }

        if (ended is not null)
        {
            _replies.FailTransfer(receive.Id, ended, refused: true);
        }
        else if (mine)
        {
            TakeComplete();
        }
    }

    /// <summary>
    /// Waits until every message that was sent completely before this call, and whose receive is posted, is
    /// among the arrivals. It never waits for the program.
    /// </summary>
    public void CatchUp()
    {
        lock (_lock)
        {
            if (_posted.Count == 0 && _receiving is null)
            {
                return;
            }

            ulong sent = _channel.Counts.Sent;
            if (_dropped)
            {
                // The rest of a dropped message goes by inside Begin, where nobody pulses; so end its wait once.
                _wake?.Set();
            }

            while (_ended is null && (_receiving is not null || CanGoOn()) && _settled < sent)
            {
                Monitor.Wait(_lock);
            }
        }
    }

    /// <summary>Stops a posted receive; false when it isn't here.</summary>
    public bool Withdraw(ulong id)
    {
        lock (_lock)
        {
            if (_receiving?.Id == id)
            {
                _receiving.Withdrawn = true;
                _giveUp?.Set();
                return true;
            }

            if (_posted.RemoveAll(receive => receive.Id == id) == 0)
            {
                return false;
            }

            Monitor.PulseAll(_lock);
        }

        _replies.CompleteStopped(id, refused: true);
        return true;
    }

    /// <summary>Fails what is posted and ends the thread.</summary>
    public void End(string reason)
    {
        PostedReceive[] failed;
        lock (_lock)
        {
            _ended ??= reason;
            failed = [.. _posted];
            _posted.Clear();
            Monitor.PulseAll(_lock);
        }

        foreach (PostedReceive receive in failed)
        {
            _replies.FailTransfer(receive.Id, reason, refused: true);
        }
    }

    // Under the lock.
    private bool CanGoOn() => _posted.Count > 0 && (_begun is null || Judge(_begun.Value, out _) != Step.Wait);

    // Under the lock: what is to be done with the message at the head of the stream.
    private Step Judge(in ZcbMessage message, out PostedReceive? receive)
    {
        ulong id = message.Id;
        receive = id != 0 ? _posted.Find(posted => posted.Id == id) : _posted.Find(static posted => posted.TakeQueued);
        if (receive is not null)
        {
            return Step.Deliver;
        }

        if (id == 0)
        {
            // It belongs to a receive still to come; those that are posted must not wait behind it.
            return _posted.Count > 0 ? Step.Keep : Step.Wait;
        }

        return id <= _lastId ? Step.Discard : Step.Wait;
    }

    /// <summary>On the pipeline's thread: takes what needs no waiting, and leaves the rest to the thread.</summary>
    private void TakeComplete()
    {
        if (_channel.TryAddUser())
        {
            bool more = true;
            while (more)
            {
                (ulong sent, ulong received) = _channel.Counts;
                more = sent > received && TakeOne(wait: false);
            }

            _channel.RemoveUser();
        }

        lock (_lock)
        {
            _busy = false;
            if (_posted.Count > 0 && _ended is null)
            {
                StartThread();
            }

            Monitor.PulseAll(_lock);
        }
    }

    // Under the lock.
    private void StartThread()
    {
        _wake ??= new CancelSource();
        _giveUp ??= new CancelSource();
        if (_thread is null && _channel.TryAddUser())
        {
            _thread = new Thread(TakeForEver) { IsBackground = true, Name = "ZeroCopyBridge receiver" };
            _thread.Start();
        }
    }

    private void TakeForEver()
    {
        while (WaitForWork())
        {
            TakeOne(wait: true);
            lock (_lock)
            {
                _busy = false;
                Monitor.PulseAll(_lock);
            }
        }

        _channel.RemoveUser();
        lock (_lock)
        {
            _wake!.Dispose();
            _giveUp!.Dispose();
            (_wake, _giveUp) = (null, null);
        }
    }

    private bool WaitForWork()
    {
        lock (_lock)
        {
            while (_ended is null && (_busy || !CanGoOn()))
            {
                Monitor.Wait(_lock);
            }

            _busy = _ended is null;
            return _busy;
        }
    }

    /// <summary>Deals with the message at the head of the stream; false when nothing could be done.</summary>
    private bool TakeOne(bool wait)
    {
        if (_begun is null && !Begin(wait ? _wake : null))
        {
            return false;
        }

        ZcbMessage message = _begun!.Value;
        Step step;
        PostedReceive? receive;
        lock (_lock)
        {
            step = Judge(in message, out receive);
            if (step == Step.Deliver)
            {
                _posted.Remove(receive!);
                _receiving = receive;
            }
        }

        switch (step)
        {
            case Step.Wait:
                return false;
            case Step.Discard:
                Drop();
                break;
            default:
                Read(in message, receive, wait);
                break;
        }

        Finish();
        return true;
    }

    private bool Begin(CancelSource? waitUntil)
    {
        ZcbError error = _channel.Begin(out ZcbMessage message, waitUntil);
        switch (error)
        {
            case ZcbError.Ok:
                lock (_lock)
                {
                    _begun = message;
                    _dropped = false;
                    _settled = _channel.Counts.Received;
                }

                return true;
            case ZcbError.Cancelled:
                waitUntil!.Reset();
                lock (_lock)
                {
                    _settled = _channel.Counts.Received;
                }

                return false;
            case ZcbError.Timeout:
                return false;
            default:
                End(Explain(error));
                return false;
        }
    }

    private void Finish()
    {
        lock (_lock)
        {
            _begun = null;
            _receiving = null;
            _settled = _channel.Counts.Received;
            Monitor.PulseAll(_lock);
        }
    }

    private void Drop()
    {
        _channel.Drop();
        lock (_lock)
        {
            _dropped = true;
        }
    }

    private void Read(in ZcbMessage message, PostedReceive? receive, bool wait)
    {
        byte[]? payload = Allocate(message.Bytes, out string? refusal);
        if (payload is null)
        {
            Drop();
            if (receive is not null)
            {
                _replies.FailTransfer(receive.Id, refusal!, refused: false);
            }

            return;
        }

        ZcbError error = _channel.ReadAll(payload, wait ? _giveUp : null);
        if (error != ZcbError.Ok)
        {
            Drop();
        }

        if (receive is null)
        {
            KeepQueued(error, message.Kind, payload);
        }
        else
        {
            Deliver(receive, error, new Arrival(receive, message.Kind, payload), wake: wait);
        }
    }

    private void KeepQueued(ZcbError error, ZcbKind kind, byte[] payload)
    {
        lock (_lock)
        {
            if (error == ZcbError.Ok)
            {
                _queued.Enqueue((kind, payload));
            }
        }
    }

    private void Deliver(PostedReceive receive, ZcbError error, Arrival arrival, bool wake)
    {
        bool withdrawn;
        lock (_lock)
        {
            withdrawn = receive.Withdrawn;
            if (error == ZcbError.Aborted && !withdrawn && _ended is null)
            {
                // The program gave the message up; this receive is still the first in the line.
                _posted.Insert(0, receive);
                return;
            }

            if (error == ZcbError.Ok && !withdrawn)
            {
                _arrivals.Add(arrival, wake);
                return;
            }
        }

        if (withdrawn)
        {
            ResetGiveUp();
            _replies.CompleteStopped(receive.Id);
        }
        else
        {
            _replies.FailTransfer(receive.Id, _ended ?? Explain(error), refused: false);
        }
    }

    private void ResetGiveUp()
    {
        lock (_lock)
        {
            _giveUp?.Reset();
        }
    }

    private static byte[]? Allocate(ulong bytes, out string? refusal)
    {
        refusal = null;
        if (bytes > (ulong)Array.MaxLength)
        {
            refusal = $"The message has {bytes} bytes, and a .NET array holds at most {Array.MaxLength}: send it in parts.";
            return null;
        }

        try
        {
            return GC.AllocateUninitializedArray<byte>((int)bytes);
        }
        catch (OutOfMemoryException)
        {
            refusal = $"There is no memory for the message's {bytes} bytes.";
            return null;
        }
    }

    private static string Explain(ZcbError error) => error is ZcbError.Closed or ZcbError.PeerClosed
        ? Bridge.ClosedText
        : $"The bridge failed: {NativeText.Of(error)}.";
}
