using System;

namespace ZeroCopyBridge.Engine;

/// <summary>How a command ended. Its text is in the collector.</summary>
/// <param name="Success">What <c>$?</c> says after the command; false when it threw, didn't parse or was stopped.</param>
/// <param name="ExitCode">The exit code of the last native command that it ran, otherwise 0 or 1 by success; after <c>exit n</c>, n.</param>
/// <param name="Exited">True when the command ends the session.</param>
/// <param name="Stopped">True when it was stopped before its end.</param>
/// <param name="Elapsed">From its start until its text was complete.</param>
internal readonly record struct CommandOutcome(bool Success, int ExitCode, bool Exited, bool Stopped, TimeSpan Elapsed);
