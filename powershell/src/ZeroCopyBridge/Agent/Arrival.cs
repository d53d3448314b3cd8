using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>A message that was received and waits for the pipeline's thread to assign it: a byte[], or a Lease where one is wanted.</summary>
internal readonly record struct Arrival(PostedReceive Receive, ZcbKind Kind, object Payload);
