using System;
using System.Management.Automation;
using System.Management.Automation.Host;

namespace ZeroCopyBridge.Engine;

/// <summary>A screen that has a size and nothing else.</summary>
internal sealed class EngineRawUserInterface : PSHostRawUserInterface
{
    private const int Height = 50;

    public EngineRawUserInterface(int width) => Width = width;

    public int Width { get; set; }

    public override ConsoleColor ForegroundColor { get; set; } = ConsoleColor.Gray;

    public override ConsoleColor BackgroundColor { get; set; } = ConsoleColor.Black;

    public override Coordinates CursorPosition { get; set; }

    public override Coordinates WindowPosition { get; set; }

    public override int CursorSize { get; set; } = 1;

    public override string WindowTitle { get; set; } = "PowerShell";

    public override Size BufferSize
    {
        get => new(Width, Height);
        set => Width = value.Width;
    }

    public override Size WindowSize
    {
        get => new(Width, Height);
        set => Width = value.Width;
    }

    public override Size MaxWindowSize => new(Width, Height);

    public override Size MaxPhysicalWindowSize => new(Width, Height);

    public override bool KeyAvailable => false;

    public override KeyInfo ReadKey(ReadKeyOptions options) =>
        throw new PSInvalidOperationException("The command waits for a key, and this session has no keyboard.");

    public override void FlushInputBuffer()
    {
    }

    public override BufferCell[,] GetBufferContents(Rectangle rectangle) =>
        throw new PSNotSupportedException("This session has no screen to read from.");

    public override void SetBufferContents(Coordinates origin, BufferCell[,] contents)
    {
    }

    public override void SetBufferContents(Rectangle rectangle, BufferCell fill)
    {
    }

    public override void ScrollBufferContents(Rectangle source, Coordinates destination, Rectangle clip, BufferCell fill)
    {
    }
}
