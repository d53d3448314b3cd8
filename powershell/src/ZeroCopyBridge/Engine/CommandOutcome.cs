using System;

namespace ZeroCopyBridge.Engine;

/// <summary>How a command ended. Its output is in the collector.</summary>
/// <param name="Success">The value of <c>$?</c> after the command; false if it threw, didn't parse or was stopped.</param>
/// <param name="ExitCode">The exit code of the last native command that it ran; after <c>exit n</c>, n. Without either, 0 for success and 1 for failure.</param>
/// <param name="Exited">True if the command ends the session.</param>
/// <param name="Stopped">True if it was stopped before its end.</param>
/// <param name="Elapsed">The time from its start until its output was complete.</param>
internal readonly record struct CommandOutcome(bool Success, int ExitCode, bool Exited, bool Stopped, TimeSpan Elapsed);
