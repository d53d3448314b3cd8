# The C# that mirrors zcb.h against the header: every struct, enum and function that the module has of it.
Import-Module "$PSScriptRoot/Testing.psm1"
Import-Module "$PSScriptRoot/CHeader.psm1"
Import-Harness

$include = Resolve-Path "$PSScriptRoot/../../include"
$assembly = [AppDomain]::CurrentDomain.GetAssemblies() | Where-Object { $_.GetName().Name -eq 'ZeroCopyBridge' }
$native = $assembly.GetTypes() | Where-Object { $_.Namespace -eq 'ZeroCopyBridge.Native' -and $_.Name -like 'Zcb*' -and $_.IsValueType -and -not $_.IsNested }

# command_flags, CommandFlags and COMMAND_FLAGS are one.
function Get-Key([string] $Name) { ($Name -replace '_').ToLowerInvariant() }

function Find-Mirror([string] $Name) {
    $native | Where-Object { (Get-Key $_.Name) -eq (Get-Key $Name) }
}

function Get-Fields([Type] $Type) { $Type.GetFields('Instance, Public, NonPublic') }

function Get-Size([Type] $Type) {
    if ($Type -eq [void]) { return 0 }
    if ($Type.IsByRef -or $Type.IsPointer -or -not $Type.IsValueType) { return [IntPtr]::Size }
    if ($Type.IsEnum) { $Type = [Enum]::GetUnderlyingType($Type) }
    [Runtime.InteropServices.Marshal]::SizeOf([type] $Type)
}

function Get-StructDifferences([string] $Name, $Expected, [Type] $Type) {
    $size = Get-Size $Type
    if ($size -ne $Expected.Size) { "$Name has $($Expected.Size) bytes, $($Type.Name) $size" }
    $fields = @{}
    foreach ($field in Get-Fields $Type) { $fields[(Get-Key $field.Name)] = $field }
    foreach ($field in $Expected.Fields.Keys) {
        $mirror = $fields[(Get-Key $field)]
        if (-not $mirror) { "$($Type.Name) lacks $Name.$field"; continue }
        $fields.Remove((Get-Key $field))
        $offset = [Runtime.InteropServices.Marshal]::OffsetOf([type] $Type, $mirror.Name).ToInt32()
        if ($offset -ne $Expected.Fields[$field].Offset) { "$Name.$field is at $($Expected.Fields[$field].Offset), $($Type.Name).$($mirror.Name) at $offset" }
        $size = Get-Size $mirror.FieldType
        if ($size -ne $Expected.Fields[$field].Size) { "$Name.$field has $($Expected.Fields[$field].Size) bytes, $($Type.Name).$($mirror.Name) $size" }
    }
    foreach ($field in $fields.Values) { "$Name has no $($Type.Name).$($field.Name)" }
}

# ZCB_KIND_BYTES of zcb_kind, ZCB_PART_OUT of zcb_part_kind, ZCB_COMMAND_NOTIFY of zcb_command_flags, ZCB_ERR_TIMEOUT and
# ZCB_OK of zcb_error.
function Get-MemberKey([string] $Enum, [string] $Member) {
    $type = $Enum.ToUpperInvariant()
    Get-Key ($Member -replace "^(${type}_|$($type -replace '_(FLAGS|KIND|TYPE)$')_|ZCB_ERR_|ZCB_)")
}

function Get-EnumDifferences([string] $Name, $Expected, [Type] $Type) {
    $numbers = @{}
    foreach ($member in [Enum]::GetNames($Type)) { $numbers[(Get-Key $member)] = [long] [Enum]::Parse($Type, $member) }
    foreach ($member in $Expected.Keys) {
        if ($member -eq "$($Name.ToUpperInvariant())S") { continue } # how many there are
        $key = Get-MemberKey $Name $member
        if (-not $numbers.ContainsKey($key)) { "$($Type.Name) lacks $member" }
        elseif ($numbers[$key] -ne $Expected[$member]) { "$member is $($Expected[$member]), in $($Type.Name) $($numbers[$key])" }
        $numbers.Remove($key)
    }
    foreach ($member in $numbers.Keys) {
        $isNoFlag = $member -eq 'none' -and $numbers[$member] -eq 0 -and $Type.GetCustomAttributes([FlagsAttribute], $false)
        if (-not $isNoFlag) { "$Name has no $($Type.Name).$member" }
    }
}

# A parameter of one of the mirrored types is one of that very type in C.
function Test-SameType([string] $CType, [Type] $Type) {
    $name = if ($Type.HasElementType) { $Type.GetElementType().Name } else { $Type.Name }
    if ($name -notin $native.Name) { return $true }
    (Get-Key ($CType -replace '\bconst\b|[* ]')) -eq (Get-Key $name)
}

function Get-FunctionDifferences($Expected, [Reflection.MethodInfo] $Method) {
    if (-not $Expected) { return "zcb.h has no $($Method.Name)" }
    $types = @($Method.ReturnType) + @($Method.GetParameters().ParameterType)
    if ($types.Count -ne $Expected.Sizes.Count) { return "$($Method.Name) has $($Expected.Sizes.Count - 1) parameters, in C# $($types.Count - 1)" }
    for ($i = 0; $i -lt $types.Count; $i++) {
        $what = if ($i -eq 0) { "what $($Method.Name) returns" } else { "parameter $i of $($Method.Name)" }
        $size = Get-Size $types[$i]
        if ($size -ne $Expected.Sizes[$i]) { "$what has $($Expected.Sizes[$i]) bytes, in C# $size" }
        if (-not (Test-SameType $Expected.Types[$i] $types[$i])) { "$what is $($Expected.Types[$i]), in C# $($types[$i].Name)" }
    }
}

# A line for each.
function Get-Differences([string] $Folder) {
    $header = Read-CHeader $Folder
    $mirrored = @()
    foreach ($kind in 'Struct', 'Enum') {
        foreach ($name in $header["${kind}s"].Keys) {
            $type = Find-Mirror $name
            if (-not $type) { continue }
            $mirrored += $type
            & "Get-${kind}Differences" $name $header["${kind}s"][$name] $type
        }
    }
    foreach ($type in $native) {
        if ($type -notin $mirrored) { "zcb.h has no $($type.Name)" }
    }
    foreach ($method in $assembly.GetType('ZeroCopyBridge.Native.NativeMethods').GetMethods('Static, Public, NonPublic') | Where-Object { $_.Name -like 'zcb_*' }) {
        Get-FunctionDifferences $header.Functions[$method.Name] $method
    }
}

Test 'the C# mirrors the header' {
    Assert-Equal '' ((Get-Differences $include) -join "`n") 'differences'
}

Test 'the header was read' {
    $header = Read-CHeader $include
    Assert-True ($header.Structs.Count -gt 5 -and $header.Enums.Count -gt 5 -and $header.Functions.Count -gt 50) "of zcb.h there are $($header.Structs.Count) structs, $($header.Enums.Count) enums, $($header.Functions.Count) functions"
    foreach ($type in 'zcb_wait', 'zcb_error', 'zcb_kind') { Assert-True (Find-Mirror $type) "$type is not mirrored" }
}

# What a change of the header without the C# would look like: a pattern, what it becomes, and what is to be said.
$changes = [ordered]@{
    'a new field'             = '(typedef struct zcb_wait \{)', '$1 int64_t extra;', 'ZcbWait lacks zcb_wait.extra'
    'a field of another size' = 'int64_t deadline_ns;', 'int32_t deadline_ns;', 'zcb_wait.deadline_ns has 4 bytes'
    'a renamed field'         = '\bdeadline_ns;', 'end_ns;', 'zcb_wait has no ZcbWait.DeadlineNs'
    'a new member'            = '(ZCB_KIND_BYTES = 1,)', '$1 ZCB_KIND_EXTRA = 9,', 'ZcbKind lacks ZCB_KIND_EXTRA'
    'a new error'             = '(X\(0, OK, "no error"\))', '$1 X(99, ERR_EXTRA, "extra")', 'ZcbError lacks ZCB_ERR_EXTRA'
    'another number'          = 'ZCB_KIND_BYTES = 1', 'ZCB_KIND_BYTES = 8', 'ZCB_KIND_BYTES is 8, in ZcbKind 1'
    'a member that is gone'   = 'ZCB_KIND_BYTES = 1,', '', 'zcb_kind has no ZcbKind.bytes'
    'another parameter'       = '(zcb_agent_width\(const zcb_agent \*agent)', '$1, int extra', 'zcb_agent_width has 2 parameters, in C# 1'
    'another type'            = '(zcb_agent_next\(zcb_agent \*agent, )zcb_work', '$1zcb_wait', 'parameter 2 of zcb_agent_next is zcb_wait \*, in C# ZcbWork'
    'another result'          = 'zcb_error (zcb_agent_end_transfer)', 'void $1', 'what zcb_agent_end_transfer returns has 0 bytes, in C# 4'
    'a function that is gone' = 'zcb_agent_width\(', 'zcb_agent_columns(', 'zcb.h has no zcb_agent_width'
}

Test 'changes of the header alone are told' {
    $work = New-Item -ItemType Directory -Path (Join-Path ([IO.Path]::GetTempPath()) "$([IO.Path]::GetRandomFileName())/zcb")
    try {
        $text = Get-Content -Raw "$include/zcb/zcb.h"
        foreach ($change in $changes.Keys) {
            $pattern, $replacement, $said = $changes[$change]
            $changed = $text -creplace $pattern, $replacement
            Assert-True ($changed -cne $text) "$change is not in zcb.h any more: choose another one"
            Set-Content "$work/zcb.h" $changed
            Assert-Match $said ((Get-Differences $work.Parent.FullName) -join "`n") $change
        }
    }
    finally { Remove-Item -Recurse $work.Parent.FullName }
}

Complete-Tests
