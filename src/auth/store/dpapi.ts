import { join } from 'node:path'
import { readPrivateFile, removeFile, writePrivateFile } from '../../util/private-files.js'
import type { System } from '../../util/runtime.js'
import type { Keychain } from './keychain.js'

/** PowerShell takes long for its first start. */
const TIMEOUT_MS = 10_000

/**
 * Makes a keychain of Windows' Data Protection API, which encrypts for one user of one machine and
 * keeps nothing itself: what it encrypts stands in a file. Values come and go on stdin and stdout.
 *
 * @param folder The user's data folder.
 * @see [CryptProtectData](https://learn.microsoft.com/windows/win32/api/dpapi/nf-dpapi-cryptprotectdata)
 */
export function dpapiKeychain(system: Pick<System, 'run'>, folder: string): Keychain {
  const path = (account: string) => join(folder, `${account}.dpapi`)
  const convert = async (method: 'Protect' | 'Unprotect', base64: string) => {
    const { stdout } = await system.run('powershell.exe', powershell(script(method)), {
      input: base64,
      timeoutMs: TIMEOUT_MS,
    })
    return /^[A-Za-z0-9+/]+=*$/.exec(stdout.trim())?.[0]
  }
  return {
    name: 'Windows Data Protection',
    async read(account) {
      const kept = await readPrivateFile(path(account))
      if (kept === undefined) return undefined
      const value = Buffer.from((await convert('Unprotect', kept)) ?? '', 'base64').toString('utf8')
      return /^[0-9a-f]{32,}$/.test(value) ? value : undefined
    },
    async write(account, value) {
      const kept = await convert('Protect', Buffer.from(value, 'utf8').toString('base64'))
      if (kept !== undefined) await writePrivateFile(path(account), kept)
    },
    async remove(account) {
      await removeFile(path(account))
    },
  }
}

function script(method: 'Protect' | 'Unprotect'): string {
  return [
    'Add-Type -AssemblyName System.Security',
    '$bytes = [Convert]::FromBase64String([Console]::In.ReadToEnd().Trim())',
    `$out = [Security.Cryptography.ProtectedData]::${method}($bytes, $null, 'CurrentUser')`,
    '[Console]::Out.Write([Convert]::ToBase64String($out))',
  ].join('\n')
}

/** The command goes encoded, so that no quoting changes it. */
function powershell(text: string): string[] {
  const encoded = Buffer.from(text, 'utf16le').toString('base64')
  return ['-NoProfile', '-NonInteractive', '-EncodedCommand', encoded]
}
