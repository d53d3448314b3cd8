using System.Collections.Generic;
using System.Threading;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>
/// The sending side of one bridge: messages leave in the order of their commands. A small one that fits
/// leaves at once; the others leave by a thread of their own, so that no command waits for a reader.
/// </summary>
internal sealed class Outbox
{
    public const string StoppedText = "The transfer was stopped before its value was sent.";

    // Half of the smallest window: such a message never has to wait once it has begun, so it is never
    // given up half-way, which its reader would see.
    private const int AtOnceBytes = 32 * 1024;

    private readonly Channel _channel;
    private readonly Replies _replies;

    // Everything below is under this lock.
    private readonly object _lock = new();
    private readonly LinkedList<PostedSend> _waiting = [];
    private CancelSource? _cancel;
    private Thread? _thread;
    private PostedSend? _sending;
    private string? _ended;

    public Outbox(Channel channel, Replies replies)
    {
        _channel = channel;
        _replies = replies;
    }

    /// <summary>Sends a message, now or in its turn. The pipeline's thread only.</summary>
    public void Post(PostedSend message)
    {
        string? ended;
        bool atOnce;
        lock (_lock)
        {
            ended = _ended;
            atOnce = ended is null && _sending is null && _waiting.Count == 0 && message.Payload.Length <= AtOnceBytes;
            if (atOnce)
            {
                _sending = message;
            }
            else if (ended is null)
            {
                Enqueue(message);
            }
        }

        if (atOnce)
        {
            SendAtOnce(message);
        }
        else if (ended is not null && message.Completes)
        {
            _replies.FailTransfer(message.Id, ended, refused: false);
        }
    }

    /// <summary>Stops a message that hasn't left; false when it isn't here.</summary>
    public bool Withdraw(ulong id)
    {
        lock (_lock)
        {
            if (_sending is { Completes: true } && _sending.Id == id)
            {
                _sending.Withdrawn = true;
                _cancel?.Set();
                return true;
            }

            LinkedListNode<PostedSend>? node = Find(id);
            if (node is null)
            {
                return false;
            }

            node.Value = PostedSend.Error(id, StoppedText);
        }

        _replies.CompleteStopped(id);
        return true;
    }

    /// <summary>Fails what hasn't left and ends the thread.</summary>
    public void End(string reason)
    {
        PostedSend[] failed;
        lock (_lock)
        {
            _ended ??= reason;
            failed = [.. _waiting];
            _waiting.Clear();
            _cancel?.Set();
            Monitor.PulseAll(_lock);
        }

        foreach (PostedSend message in failed)
        {
            Fail(message, reason);
        }
    }

    // Under the lock.
    private LinkedListNode<PostedSend>? Find(ulong id)
    {
        LinkedListNode<PostedSend>? node = _waiting.First;
        while (node is not null && !(node.Value.Id == id && node.Value.Completes))
        {
            node = node.Next;
        }

        return node;
    }

    // Under the lock.
    private void Enqueue(PostedSend message)
    {
        _waiting.AddLast(message);
        _cancel ??= new CancelSource();
        if (_thread is null && _channel.TryAddUser())
        {
            _thread = new Thread(SendForEver) { IsBackground = true, Name = "ZeroCopyBridge sender" };
            _thread.Start();
        }

        Monitor.PulseAll(_lock);
    }

    private void SendAtOnce(PostedSend message)
    {
        ZcbError error = ZcbError.Closed;
        if (_channel.TryAddUser())
        {
            error = _channel.Send(message.Kind, message.Id, message.Payload, waitUntil: null);
            _channel.RemoveUser();
        }

        bool withdrawn;
        lock (_lock)
        {
            _sending = null;
            withdrawn = message.Withdrawn;
            if (error == ZcbError.Timeout && _ended is null)
            {
                Enqueue(withdrawn ? PostedSend.Error(message.Id, StoppedText) : message);
            }
        }

        if (error != ZcbError.Timeout)
        {
            Finish(message, error);
        }
        else if (withdrawn)
        {
            _replies.CompleteStopped(message.Id);
        }
    }

    private void SendForEver()
    {
        while (TakeNext() is PostedSend message)
        {
            ZcbError error = _channel.Send(message.Kind, message.Id, message.Payload, _cancel);
            bool withdrawn;
            lock (_lock)
            {
                _sending = null;
                withdrawn = error != ZcbError.Ok && message.Withdrawn && _ended is null;
                if (withdrawn)
                {
                    _waiting.AddFirst(PostedSend.Error(message.Id, StoppedText));
                }

                if (_ended is null)
                {
                    _cancel!.Reset();
                }
            }

            if (withdrawn)
            {
                _replies.CompleteStopped(message.Id);
            }
            else
            {
                Finish(message, error);
            }
        }

        _channel.RemoveUser();
    }

    private PostedSend? TakeNext()
    {
        lock (_lock)
        {
            while (_ended is null && (_waiting.Count == 0 || _sending is not null))
            {
                Monitor.Wait(_lock);
            }

            if (_ended is not null)
            {
                return null;
            }

            _sending = _waiting.First!.Value;
            _waiting.RemoveFirst();
            return _sending;
        }
    }

    private void Finish(PostedSend message, ZcbError error)
    {
        if (error == ZcbError.Ok)
        {
            if (message.Completes)
            {
                _replies.CompleteTransfer(message.Id, message.Elapsed);
            }
        }
        else
        {
            Fail(message, Explain(error));
        }
    }

    private void Fail(PostedSend message, string reason)
    {
        if (message.Completes)
        {
            _replies.FailTransfer(message.Id, reason, refused: false, message.Elapsed);
        }
    }

    private string Explain(ZcbError error) => error switch
    {
        ZcbError.Closed or ZcbError.PeerClosed or ZcbError.Cancelled => _ended ?? Bridge.ClosedText,
        ZcbError.Refused => "The program discarded the message.",
        _ => $"The bridge failed: {NativeText.Of(error)}.",
    };
}
