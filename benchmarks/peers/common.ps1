# What every peer's script does in the same way.

function Get-Digest([byte[]] $Data) {
    [Convert]::ToHexString([Security.Cryptography.SHA256]::HashData($Data)).ToLowerInvariant()
}

function Clear-Garbage {
    [GC]::Collect(2, [GCCollectionMode]::Aggressive, $true, $true) # back to the machine
}
