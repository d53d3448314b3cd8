using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>A received message that the pipeline thread has to assign: a byte[], or a Lease if one is wanted.</summary>
internal readonly record struct Arrival(PostedReceive Receive, ZcbKind Kind, object Payload);
