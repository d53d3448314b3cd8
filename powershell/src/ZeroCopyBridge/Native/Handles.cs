using Microsoft.Win32.SafeHandles;

namespace ZeroCopyBridge.Native;

/// <summary>Owns a <c>zcb_agent</c>.</summary>
internal sealed class AgentHandle : SafeHandleZeroOrMinusOneIsInvalid
{
    public AgentHandle(nint agent)
        : base(ownsHandle: true) => SetHandle(agent);

    protected override bool ReleaseHandle()
    {
        NativeMethods.zcb_agent_free(handle);
        return true;
    }
}

/// <summary>Owns a <c>zcb_cancel</c>.</summary>
internal sealed class CancelHandle : SafeHandleZeroOrMinusOneIsInvalid
{
    public CancelHandle(nint cancel)
        : base(ownsHandle: true) => SetHandle(cancel);

    protected override bool ReleaseHandle()
    {
        NativeMethods.zcb_cancel_free(handle);
        return true;
    }
}
