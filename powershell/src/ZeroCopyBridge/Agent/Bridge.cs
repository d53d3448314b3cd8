using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>The engine's end of one bridge.</summary>
internal sealed class Bridge
{
    public const string ClosedText = "The bridge was closed.";

    private readonly Channel _channel;

    public Bridge(Channel channel, Arrivals arrivals, Replies replies)
    {
        _channel = channel;
        Inbox = new Inbox(channel, arrivals, replies);
        Outbox = new Outbox(channel, arrivals, replies);
    }

    public Inbox Inbox { get; }

    public Outbox Outbox { get; }

    /// <summary>Ends all transfers. The channel itself goes when the last thread has left it.</summary>
    public void Close()
    {
        _channel.Close();
        Inbox.End(ClosedText);
        Outbox.End(ClosedText);
        _channel.RemoveUser();
    }
}
