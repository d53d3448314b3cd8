#if !NET
// Types that the compiler needs and .NET Framework lacks. Names and meanings are those of .NET.

namespace System.Runtime.CompilerServices
{
    internal static class IsExternalInit
    {
    }
}

namespace System
{
    internal readonly struct Index
    {
        private readonly int _value;
        private readonly bool _fromEnd;

        public Index(int value, bool fromEnd = false)
        {
            _value = value;
            _fromEnd = fromEnd;
        }

        public static implicit operator Index(int value) => new Index(value);

        public int GetOffset(int length) => _fromEnd ? length - _value : _value;
    }
}

namespace System.Diagnostics.CodeAnalysis
{
    [AttributeUsage(AttributeTargets.Parameter)]
    internal sealed class NotNullWhenAttribute : Attribute
    {
        public NotNullWhenAttribute(bool returnValue) => ReturnValue = returnValue;

        public bool ReturnValue { get; }
    }
}
#endif
