using System;
using System.Collections.Generic;
using System.Threading;
using ZeroCopyBridge.Compatibility;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>
/// The receiving side of one bridge. Posted receives wait here. One thread at a time receives their messages: the
/// pipeline thread while it has nothing else to do (<see cref="Serve"/>), which saves two thread switches; otherwise
/// the inbox's own thread, which also takes over a message that is half received. The program decides which message
/// is for which receive, and writes that into the message.
/// </summary>
internal sealed class Inbox
{
    private readonly Channel _channel;
    private readonly Arrivals _arrivals;
    private readonly Replies _replies;

    // Everything below is under this lock, except the message that is being received: that belongs to _server.
    private readonly object _lock = new();
    private readonly List<PostedReceive> _posted = [];
    private readonly Queue<(ZcbKind Kind, byte[] Payload)> _queued = [];
    private CancelSource? _wake; // ends a wait of the inbox's own thread
    private Thread? _thread;
    private Server _server;
    private PostedReceive? _receiving;
    private ulong _lastId;
    private bool _dropped;
    private ulong _settled; // messages received and queued as arrivals; the channel's own count is ahead of this
    private string? _ended;

    // The message that is being received.
    private ZcbMessage? _begun;
    private Step _step;
    private byte[]? _payload;
    private nuint _read;

    public Inbox(Channel channel, Arrivals arrivals, Replies replies)
    {
        _channel = channel;
        _arrivals = arrivals;
        _replies = replies;
    }

    /// <summary>The thread that receives messages.</summary>
    private enum Server
    {
        None,
        Pipeline,
        OwnThread,
    }

    /// <summary>The outcome of <see cref="Serve"/>.</summary>
    public enum Served
    {
        /// <summary>A message was handled.</summary>
        Message,

        /// <summary>No message yet, and the pipeline has something else to do first.</summary>
        Nothing,

        /// <summary>The pipeline is no longer needed here.</summary>
        Over,
    }

    private enum Step
    {
        Wait,
        Deliver,
        Keep,
        Discard,
    }

    /// <summary>Notes a receive that failed before it was posted. A message for it will be discarded.</summary>
    public void Skip(ulong id)
    {
        lock (_lock)
        {
            _lastId = id;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Posts a receive. The pipeline thread only.</summary>
    /// <returns>True if the pipeline has to <see cref="Serve"/> this inbox.</returns>
    public bool Post(PostedReceive receive)
    {
        string? ended;
        lock (_lock)
        {
            _lastId = receive.Id;
            ended = _ended;
            if (ended is null && receive.TakeQueued && _queued.TryDequeue(out (ZcbKind Kind, byte[] Payload) queued))
            {
                object payload = receive.Lease && queued.Kind == ZcbKind.Bytes ? Lease.Of(queued.Payload) : queued.Payload;
                _arrivals.Add(new Arrival(receive, queued.Kind, payload), wake: false);
                return false;
            }

            if (ended is null)
            {
                _posted.Add(receive);
                if (_server == Server.None && _channel.TryAddUser())
                {
                    _server = Server.Pipeline;
                }

                Monitor.PulseAll(_lock);
                return _server == Server.Pipeline;
            }
        }

        _replies.FailTransfer(receive.Id, ended, refused: true);
        return false;
    }

    /// <summary>
    /// Receives one message on the pipeline thread. The wait ends when a command comes or an arrival wakes the
    /// pipeline. A message that is half received then goes on in the inbox's own thread.
    /// </summary>
    public Served Serve(in ZcbWait untilCommand)
    {
        lock (_lock)
        {
            if (_server != Server.Pipeline)
            {
                return Served.Over;
            }

            if (!CanGoOn())
            {
                LeavePipeline();
                return Served.Over;
            }
        }

        if (TakeOne(in untilCommand))
        {
            return Served.Message;
        }

        if (!InMessage)
        {
            lock (_lock)
            {
                if (CanGoOn())
                {
                    return Served.Nothing;
                }

                LeavePipeline();
                return Served.Over;
            }
        }

        // A message that has been sent completely is finished here: copying the rest is short, and the command would have to
        // wait for it anyway.
        (ulong sent, ulong received) = _channel.Counts;
        if (sent > received && TakeOne(in ZcbWait.Never))
        {
            return Served.Message;
        }

        HandOver();
        return Served.Over;
    }

    /// <summary>The pipeline has other things to do. The inbox's own thread takes over.</summary>
    public void HandOver()
    {
        lock (_lock)
        {
            if (_server != Server.Pipeline)
            {
                return;
            }

            bool goesOn = InMessage || (_posted.Count > 0 && _ended is null);
            if (!goesOn || TryStartThread())
            {
                LeavePipeline();
                return;
            }
        }

        GiveUp();
    }

    /// <summary>
    /// Waits until every message that was sent completely before this call, and whose receive is posted, is in the
    /// queue of arrivals. Never waits for the program.
    /// </summary>
    public void CatchUp()
    {
        lock (_lock)
        {
            if (_posted.Count == 0 && !InMessage)
            {
                return;
            }
        }

        if (!_channel.TryAddUser())
        {
            return;
        }

        ulong sent = _channel.Counts.Sent;
        if (_server == Server.Pipeline)
        {
            while (_settled < sent && CanGoOnNow() && TakeOne(in ZcbWait.Never))
            {
            }
        }
        else
        {
            AwaitOwnThread(sent);
        }

        _channel.RemoveUser();
    }

    /// <summary>Stops a posted receive; false if it isn't here.</summary>
    public bool Withdraw(ulong id)
    {
        lock (_lock)
        {
            if (_receiving?.Id == id)
            {
                _receiving.Withdrawn = true;
                if (_server == Server.Pipeline)
                {
                    _arrivals.Wake.Set();
                }
                else
                {
                    _wake?.Set();
                }

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

    /// <summary>Fails all posted receives and ends the thread.</summary>
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

    private void AwaitOwnThread(ulong sent)
    {
        lock (_lock)
        {
            while (_ended is null && CanGoOn() && _settled < sent)
            {
                if (_dropped)
                {
                    // Begin discards the rest of a dropped message and does not pulse meanwhile. So end its wait.
                    _wake?.Set();
                }

                Monitor.Wait(_lock);
            }
        }
    }

    private bool CanGoOnNow()
    {
        lock (_lock)
        {
            return CanGoOn();
        }
    }

    private bool InMessage => _receiving is not null || _payload is not null;

    // Under the lock. A message that has begun is received to its end even if the channel is closed.
    private bool CanGoOn() =>
        InMessage
        || (_ended is null && _posted.Count > 0 && (_begun is null || Judge(_begun.Value, out _) != Step.Wait));

    // Under the lock: decides what to do with the message at the head of the stream.
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
            // It is for a receive that is still to come. The posted receives must not wait behind it.
            return _posted.Count > 0 ? Step.Keep : Step.Wait;
        }

        return id <= _lastId ? Step.Discard : Step.Wait;
    }

    // Under the lock.
    private void LeavePipeline()
    {
        _server = Server.None;
        _channel.RemoveUser();
        Monitor.PulseAll(_lock);
    }

    // Under the lock.
    private bool TryStartThread()
    {
        _wake ??= CancelSource.TryCreate();
        if (_thread is null && _wake is not null && _channel.TryAddUser())
        {
            _thread = TransferThread.TryStart(TakeForEver, "zcb receiver");
            if (_thread is null)
            {
                _channel.RemoveUser();
            }
        }

        return _thread is not null;
    }

    // No thread can serve what is posted. Closing the bridge is better than a program that waits for ever.
    private void GiveUp()
    {
        _channel.Close();
        End(TransferThread.Refused);
        if (InMessage)
        {
            TakeOne(in ZcbWait.Never);
        }

        lock (_lock)
        {
            LeavePipeline();
        }
    }

    private void TakeForEver()
    {
        ZcbWait untilWoken = _wake!.Wait;
        while (WaitForWork())
        {
            if (!TakeOne(in untilWoken))
            {
                _wake.Reset();
            }

            lock (_lock)
            {
                // A message that has begun stays with this thread.
                _server = InMessage ? Server.OwnThread : Server.None;
                _settled = _channel.Counts.Received;
                Monitor.PulseAll(_lock);
            }
        }

        lock (_lock)
        {
            _wake!.Dispose();
            _wake = null;
        }

        _channel.RemoveUser();
    }

    private bool WaitForWork()
    {
        lock (_lock)
        {
            while (_server == Server.Pipeline || !CanGoOn())
            {
                if (_ended is not null)
                {
                    return false;
                }

                Monitor.Wait(_lock);
            }

            _server = Server.OwnThread;
            return true;
        }
    }

    /// <summary>Handles the message at the head of the stream; false if the wait ended first.</summary>
    private bool TakeOne(in ZcbWait wait)
    {
        if (_begun is null && !Begin(in wait))
        {
            return false;
        }

        ZcbMessage message = _begun!.Value;
        if (!InMessage && !Prepare(in message))
        {
            return _begun is null; // true: it was discarded; false: it waits for its receive
        }

        return Receive(in message, in wait);
    }

    private bool Begin(in ZcbWait wait)
    {
        ZcbWish wish;
        lock (_lock)
        {
            wish = _posted is [{ Lease: true }, ..] ? ZcbWish.Lease : ZcbWish.Copy;
        }

        ZcbError error = _channel.Begin(wish, out ZcbMessage message, in wait);
        if (error == ZcbError.Ok)
        {
            lock (_lock)
            {
                _begun = message;
                _dropped = false;
                _settled = _channel.Counts.Received;
            }

            return true;
        }

        if (!error.IsPassing())
        {
            End(Explain(error));
        }

        return false;
    }

    /// <summary>Finds the receive of the message and makes room for it; false if there is nothing to receive.</summary>
    private bool Prepare(in ZcbMessage message)
    {
        PostedReceive? receive;
        lock (_lock)
        {
            _step = Judge(in message, out receive);
            if (_step == Step.Deliver)
            {
                _posted.Remove(receive!);
                _receiving = receive;
            }
        }

        _read = 0;
        switch (_step)
        {
            case Step.Wait:
                return false;
            case Step.Discard:
                Drop();
                Finish();
                return false;
        }

        string? refusal = null;
        if (!IsToBeLeased(in message))
        {
            _payload = Allocate(message.Bytes, out refusal);
        }

        if (refusal is null)
        {
            return true;
        }

        Drop();
        if (receive is not null)
        {
            _replies.FailTransfer(receive.Id, refusal, refused: false);
        }

        Finish();
        return false;
    }

    private bool IsToBeLeased(in ZcbMessage message) =>
        _receiving is { Lease: true } && message.Kind == ZcbKind.Bytes && message.Bytes > 0;

    private bool Receive(in ZcbMessage message, in ZcbWait wait)
    {
        object? value = null;
        ZcbError error = _receiving is { Withdrawn: true } ? ZcbError.Cancelled : Read(in message, in wait, out value);
        if (error.IsPassing() && _receiving is not { Withdrawn: true })
        {
            return false;
        }

        if (error == ZcbError.Ok)
        {
            _channel.End();
        }
        else
        {
            Drop();
        }

        if (_receiving is null && error == ZcbError.Ok)
        {
            KeepQueued(message.Kind, _payload!);
        }

        if (_receiving is PostedReceive receive)
        {
            Deliver(receive, error, message.Kind, value);
        }

        Finish();
        return true;
    }

    /// <summary>Keeps a message for a later receive, unless that receive has been posted meanwhile.</summary>
    private void KeepQueued(ZcbKind kind, byte[] payload)
    {
        lock (_lock)
        {
            _receiving = _posted.Find(static posted => posted.TakeQueued);
            if (_receiving is null)
            {
                _queued.Enqueue((kind, payload));
            }
            else
            {
                _posted.Remove(_receiving);
            }
        }
    }

    private ZcbError Read(in ZcbMessage message, in ZcbWait wait, out object? value)
    {
        value = _payload;
        return _payload is null
            ? TakeLease(in message, in wait, out value)
            : _channel.Read(_payload, ref _read, in wait);
    }

    /// <summary>Holds the message in place. A message that streams, because the frame had no room, is copied.</summary>
    private ZcbError TakeLease(in ZcbMessage message, in ZcbWait wait, out object? value)
    {
        ZcbError error = _channel.TakeLease(out Lease? lease, in wait);
        value = lease;
        if (error != ZcbError.TooLarge || message.Bytes > _channel.FrameBytes)
        {
            return error;
        }

        // Unreachable leases keep their memory until they are collected. Collect now, so that the next message finds room.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: false);
        _payload = Allocate(message.Bytes, out _);
        value = _payload;
        return _payload is null ? ZcbError.NoMemory : _channel.Read(_payload, ref _read, in wait);
    }

    private void Finish()
    {
        lock (_lock)
        {
            _begun = null;
            _receiving = null;
            _payload = null;
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

    private void Deliver(PostedReceive receive, ZcbError error, ZcbKind kind, object? value)
    {
        bool withdrawn;
        lock (_lock)
        {
            withdrawn = receive.Withdrawn;
            if (error == ZcbError.Aborted && !withdrawn && _ended is null)
            {
                // The program withdrew the message. This receive is still the first in the queue.
                _posted.Insert(0, receive);
                return;
            }

            if (error == ZcbError.Ok && !withdrawn)
            {
                if (receive.Lease && value is byte[] copy && kind == ZcbKind.Bytes)
                {
                    value = Lease.Of(copy);
                }

                _arrivals.Add(new Arrival(receive, kind, value!), wake: _server != Server.Pipeline);
                return;
            }
        }

        (value as Lease)?.Dispose();
        if (withdrawn)
        {
            _replies.CompleteStopped(receive.Id);
        }
        else
        {
            _replies.FailTransfer(receive.Id, _ended ?? Explain(error), refused: false);
        }
    }

    private static byte[]? Allocate(ulong bytes, out string? refusal)
    {
        refusal = null;
        if (bytes > (ulong)Runtime.MostElements)
        {
            refusal = $"The message has {bytes} bytes, and a .NET array holds at most {Runtime.MostElements}: send it in parts.";
            return null;
        }

        try
        {
            return FreshArray.Allocate((int)bytes);
        }
        catch (OutOfMemoryException)
        {
            refusal = $"There is no memory for the message's {bytes} bytes.";
            return null;
        }
    }

    private static string Explain(ZcbError error) => error switch
    {
        ZcbError.Closed or ZcbError.PeerClosed => Bridge.ClosedText,
        ZcbError.TooLarge => "Data exceeds frame size: the message cannot be held in place. Give the bridge a larger frame_mb.",
        _ => $"The bridge failed: {NativeText.Of(error)}.",
    };
}
