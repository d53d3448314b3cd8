@{
    RootModule           = if ($PSEdition -eq 'Desktop') { 'desktop\ZeroCopyBridge.dll' } else { 'ZeroCopyBridge.dll' }
    ModuleVersion        = '0.1.0'
    GUID                 = '5b1f2f0e-6d0c-4a5e-9a3e-2f6f4c9f7a51'
    Author               = 'The virtualshell authors'
    Copyright            = '(c) The virtualshell authors. MIT licence.'
    Description          = 'The PowerShell side of the Zero-Copy Bridge: runs the commands of the program that started this engine, and moves data between its variables and that program through shared memory.'
    PowerShellVersion    = '5.1'
    CompatiblePSEditions = @('Core', 'Desktop')
    CmdletsToExport      = @('Start-ZeroCopyAgent', 'New-ZeroCopyLease')
    FunctionsToExport    = @()
    AliasesToExport      = @()
    VariablesToExport    = @()
    PrivateData          = @{ PSData = @{ Tags = @('interop', 'python', 'shared-memory') } }
}
