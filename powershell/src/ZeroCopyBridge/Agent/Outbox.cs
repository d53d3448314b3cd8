using System.Collections.Generic;
using System.Threading;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>
/// The sending side of one bridge. Messages are sent in the order of their commands. The pipeline thread sends while
/// it has nothing else to do. When the next command comes, the outbox's own thread sends the rest, so that no command
/// waits for a receiver.
/// </summary>
internal sealed class Outbox
{
    public const string StoppedText = "The transfer was stopped before its value was sent.";

    private readonly Channel _channel;
    private readonly Arrivals _arrivals;
    private readonly Replies _replies;

    // Everything below is under this lock.
    private readonly object _lock = new();
    private readonly LinkedList<PostedSend> _waiting = [];
    private CancelSource? _cancel; // ends a wait of the outbox's own thread
    private Thread? _thread;
    private PostedSend? _sending;
    private string? _ended;

    public Outbox(Channel channel, Arrivals arrivals, Replies replies)
    {
        _channel = channel;
        _arrivals = arrivals;
        _replies = replies;
    }

    /// <summary>Sends a message, or queues it behind others. The pipeline thread only.</summary>
    /// <param name="message">What to send.</param>
    /// <param name="untilCommand">A wait that ends when the pipeline has something else to do.</param>
    public void Post(PostedSend message, in ZcbWait untilCommand)
    {
        string? ended;
        lock (_lock)
        {
            ended = _ended;
            if (ended is null && (_sending is not null || _waiting.Count > 0))
            {
                Enqueue(message, first: false);
                return;
            }

            if (ended is null)
            {
                _sending = message;
            }
        }

        if (ended is null)
        {
            SendNow(message, in untilCommand);
        }
        else
        {
            Fail(message, ended);
        }
    }

    /// <summary>Stops a message that is not sent completely; false if it isn't here.</summary>
    public bool Withdraw(ulong id)
    {
        lock (_lock)
        {
            if (_sending is { Completes: true } && _sending.Id == id)
            {
                _sending.Withdrawn = true;
                _arrivals.Wake.Set();
                _cancel?.Set();
                return true;
            }

            LinkedListNode<PostedSend>? node = Find(id);
            if (node is null)
            {
                return false;
            }

            if (node.Value.Begun)
            {
                node.Value.Withdrawn = true; // the thread is about to continue with it
                return true;
            }

            node.Value.Release();
            node.Value = PostedSend.Error(id, StoppedText);
        }

        _replies.CompleteStopped(id);
        return true;
    }

    /// <summary>Fails all messages that are not sent completely, and ends the thread.</summary>
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
    private void Enqueue(PostedSend message, bool first)
    {
        if (first)
        {
            _waiting.AddFirst(message);
        }
        else
        {
            _waiting.AddLast(message);
        }

        _cancel ??= CancelSource.TryCreate();
        if (_thread is null && _cancel is not null && _channel.TryAddUser())
        {
            _thread = TransferThread.TryStart(SendForEver, "zcb sender");
            if (_thread is null)
            {
                _channel.RemoveUser();
            }
        }

        Monitor.PulseAll(_lock);
    }

    /// <summary>Closes the bridge if no thread can send what waits. That is better than a program that waits for ever.</summary>
    private void EndWithoutThread()
    {
        bool stuck;
        lock (_lock)
        {
            stuck = _thread is null && _waiting.Count > 0;
        }

        if (stuck)
        {
            _channel.Close();
            End(TransferThread.Refused);
        }
    }

    private void SendNow(PostedSend message, in ZcbWait untilCommand)
    {
        bool open = _channel.TryAddUser();

        // The report that a transfer has failed must not wait until somebody receives its error message.
        ZcbError error = open
            ? message.Advance(_channel, in message.Completes ? ref untilCommand : ref ZcbWait.Never)
            : ZcbError.Closed;

        bool goesOn;
        lock (_lock)
        {
            goesOn = error.IsPassing() && _ended is null;
            _sending = null;
            if (goesOn)
            {
                Enqueue(message, first: true);
            }
        }

        if (!goesOn)
        {
            Finish(message, error);
        }

        EndWithoutThread();
        if (open)
        {
            _channel.RemoveUser();
        }
    }

    private void SendForEver()
    {
        ZcbWait untilCancelled = _cancel!.Wait;
        while (TakeNext() is PostedSend message)
        {
            ZcbError error = message.Withdrawn ? ZcbError.Cancelled : message.Advance(_channel, in untilCancelled);
            lock (_lock)
            {
                _sending = null;
                if (_ended is null)
                {
                    _cancel!.Reset();
                    if (error.IsPassing() && !message.Withdrawn)
                    {
                        _waiting.AddFirst(message);
                        continue;
                    }
                }
            }

            Finish(message, error);
        }

        lock (_lock)
        {
            _cancel!.Dispose();
            _cancel = null;
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
            message.Release();
            if (message.Completes)
            {
                _replies.CompleteTransfer(message.Id, message.Elapsed);
            }

            return;
        }

        message.GiveUp(_channel);
        if (message.Withdrawn && _ended is null)
        {
            message.Release();
            lock (_lock)
            {
                Enqueue(PostedSend.Error(message.Id, StoppedText), first: true);
            }

            _replies.CompleteStopped(message.Id);
        }
        else
        {
            Fail(message, Explain(error));
            if (error.IsShortage())
            {
                TellReader(message, Explain(error));
            }
        }
    }

    /// <summary>Tells the receiver why the message doesn't come. If even that can't be sent, closes the bridge.</summary>
    private void TellReader(PostedSend message, string reason)
    {
        if (!message.Completes)
        {
            _channel.Close();
            return;
        }

        lock (_lock)
        {
            if (_ended is null)
            {
                Enqueue(PostedSend.Error(message.Id, reason), first: true);
            }
        }
    }

    private void Fail(PostedSend message, string reason)
    {
        message.Release();
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
