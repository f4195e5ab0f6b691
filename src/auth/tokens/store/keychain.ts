import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { readPrivateFile, removeFile, writePrivateFile } from '../../../util/private-files.js'
import type { Clock, System } from '../../../util/runtime.js'

const SERVICE = 'mcp-descope-proxy'

/** A place of the operating system for small secrets. Values are hexadecimal. */
export interface Keychain {
  /** As people know it, such as `macOS Keychain`. */
  readonly name: string
  read(account: string): Promise<string | undefined>
  write(account: string, value: string): Promise<void>
  remove(account: string): Promise<void>
}

/** Limit of a whole probe: the Secret Service may wait for a prompt that nobody sees. */
const PROBE_MS = 3_000

/**
 * Finds the keychain of this platform, which may still turn out not to work.
 *
 * @param folder The user's data folder.
 */
export function systemKeychain(
  system: Pick<System, 'run'>,
  platform: NodeJS.Platform,
  folder: string,
): Keychain | undefined {
  if (platform === 'darwin') return macKeychain(system)
  if (platform === 'linux') return secretService(system)
  if (platform === 'win32') return dpapiKeychain(system, folder)
  return undefined
}

/**
 * Writes, reads and deletes a value to see whether a keychain works.
 *
 * @returns `undefined` when it does, else why not.
 */
export async function probeKeychain(keychain: Keychain, clock: Clock): Promise<string | undefined> {
  const value = randomBytes(16).toString('hex')
  const steps = async () => {
    await keychain.write('probe', value)
    const found = await keychain.read('probe')
    await keychain.remove('probe')
    return found === value ? undefined : `${keychain.name} does not work here`
  }
  return new Promise((resolve) => {
    const cancel = clock.after(PROBE_MS, () => {
      resolve(`${keychain.name} did not answer within ${PROBE_MS / 1_000} s`)
    })
    steps()
      .then(resolve, () => resolve(`${keychain.name} does not work here`))
      .finally(cancel)
  })
}

/** Sends commands on stdin, so that the list of processes shows no secret. */
function macKeychain(system: Pick<System, 'run'>): Keychain {
  const security = async (command: string, account: string, more = '') => {
    const input = `${command} -s ${SERVICE} -a ${account}${more}\n`
    return await system.run('/usr/bin/security', ['-i'], { input, timeoutMs: PROBE_MS })
  }
  return {
    name: 'macOS Keychain',
    async read(account) {
      return hexadecimal(await security('find-generic-password', account, ' -w'))
    },
    async write(account, value) {
      await security('add-generic-password -U', account, ` -w ${value}`)
    },
    async remove(account) {
      await security('delete-generic-password', account)
    },
  }
}

function secretService(system: Pick<System, 'run'>): Keychain {
  const secretTool = async (command: readonly string[], account: string, input?: string) => {
    const args = [...command, 'service', SERVICE, 'account', account]
    const options = { timeoutMs: PROBE_MS, ...(input !== undefined && { input }) }
    return await system.run('secret-tool', args, options)
  }
  return {
    name: 'Secret Service',
    async read(account) {
      return hexadecimal(await secretTool(['lookup'], account))
    },
    async write(account, value) {
      await secretTool(['store', '--label', SERVICE], account, value)
    },
    async remove(account) {
      await secretTool(['clear'], account)
    },
  }
}

function hexadecimal({ stdout }: { stdout: string }): string | undefined {
  return /^(?:password: )?"?([0-9a-f]{32,})"?$/m.exec(stdout.trim())?.[1]
}

/**
 * Makes a keychain of Windows' Data Protection API, which encrypts for one user of one machine and
 * keeps nothing itself: what it encrypts stands in a file. Values come and go on stdin and stdout.
 *
 * @param folder The user's data folder.
 * @see [CryptProtectData](https://learn.microsoft.com/windows/win32/api/dpapi/nf-dpapi-cryptprotectdata)
 */
function dpapiKeychain(system: Pick<System, 'run'>, folder: string): Keychain {
  const path = (account: string) => join(folder, `${account}.dpapi`)
  const convert = async (method: 'Protect' | 'Unprotect', base64: string) => {
    const { stdout } = await system.run('powershell.exe', powershell(script(method)), {
      input: base64,
      timeoutMs: 10_000, // the first start of PowerShell takes long
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

/** Passes the command in base64, so that no quoting changes it. */
function powershell(text: string): string[] {
  const encoded = Buffer.from(text, 'utf16le').toString('base64')
  return ['-NoProfile', '-NonInteractive', '-EncodedCommand', encoded]
}
