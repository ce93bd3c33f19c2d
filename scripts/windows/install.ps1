<#
.SYNOPSIS
Installs cticache as a service of Windows, from a folder of wheels, without the internet.

.DESCRIPTION
Run it in Windows PowerShell 5.1 or later that was opened with "Run as administrator":

    powershell -ExecutionPolicy Bypass -File install.ps1 -Wheels D:\wheels -From 10.0.0.0/24

The first run makes the folders and puts a config.ini there to be filled in; the next one makes the service. It may be run
again: after a new release it installs that, and starts the service anew. docs/windows.md tells how the folder of wheels
is made.
#>
param(
    # The folder with the wheels of cticache and of all that it needs.
    [Parameter(Mandatory)] [string]$Wheels,
    # A Python 3.11 or later that is installed for all users.
    [string]$Python = 'python.exe',
    [string]$Program = "$env:ProgramFiles\cticache",
    [string]$Data = "$env:ProgramData\cticache",
    [string]$Name = 'cticache',
    # DOMAIN\NAME$ for a group managed service account; without it the service has an account of its own.
    [string]$Account = "NT SERVICE\$Name",
    # The port to open in the firewall, and for whom; nothing is opened without -From.
    [int]$Port = 8080,
    [string[]]$From = @()
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

function Invoke-Program([string]$Path, [string[]]$Arguments) {
    & $Path @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$Path $($Arguments -join ' ') has ended with $LASTEXITCODE" }
}

$me = [Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()
if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
    throw 'This needs a PowerShell that was opened with "Run as administrator".'
}

$cticache = Join-Path $Program 'Scripts\cticache.exe'
$config = Join-Path $Data 'config.ini'
$service = Get-Service -Name $Name -ErrorAction SilentlyContinue
if ($service -and $service.Status -ne 'Stopped') {
    Invoke-Program $cticache @('service', 'stop', '--name', $Name)  # Windows replaces no file that is in use
}

# The program, which only administrators may change.
if (-not (Test-Path $cticache)) { Invoke-Program $Python @('-m', 'venv', $Program) }
$own = Join-Path $Program 'Scripts\python.exe'
Invoke-Program $own @('-m', 'pip', 'install', '--no-index', '--find-links', $Wheels, '--upgrade', 'cticache[windows]')

# Configuration, data and log: administrators and the system, by their SIDs, whose names differ with the language.
$log = Join-Path $Data 'log'
$held = Join-Path $Data 'data'
foreach ($folder in $Data, $log, $held) { New-Item -ItemType Directory -Force -Path $folder | Out-Null }
Invoke-Program icacls.exe @($Data, '/inheritance:r', '/grant:r', '*S-1-5-32-544:(OI)(CI)F', '*S-1-5-18:(OI)(CI)F')
if (-not (Test-Path $config)) {
    $sample = Join-Path $Program 'Lib\site-packages\cticache\config.ini'
    Copy-Item $sample $config
    Write-Host "Write your Redis, numbers and users into $config, and run this again."
    return
}

if (-not $service) {
    Invoke-Program $cticache @('service', 'install', '--name', $Name, '--account', $Account, '--config', $config)
}
# The account exists from here on. It reads its configuration, and writes nothing but data and log.
Invoke-Program icacls.exe @($Data, '/grant:r', "${Account}:(OI)(CI)RX")
foreach ($folder in $log, $held) { Invoke-Program icacls.exe @($folder, '/grant:r', "${Account}:(OI)(CI)M") }

$rule = "cticache ($Name)"
Get-NetFirewallRule -DisplayName $rule -ErrorAction SilentlyContinue | Remove-NetFirewallRule
if ($From) {
    New-NetFirewallRule -DisplayName $rule -Direction Inbound -Action Allow -Protocol TCP -LocalPort $Port `
        -RemoteAddress $From -Profile Domain, Private | Out-Null
}
Invoke-Program $cticache @('service', 'start', '--name', $Name)
