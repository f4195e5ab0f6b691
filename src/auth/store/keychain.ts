import { randomBytes } from 'node:crypto'
import type { Clock, System } from '../../util/runtime.js'
import { dpapiKeychain } from './dpapi.js'

const SERVICE = 'mcp-descope-proxy'

/** A place of the operating system for small secrets. Values are hexadecimal. */
export interface Keychain {
  /** As people know it, such as `macOS Keychain`. */
  readonly name: string
  read(account: string): Promise<string | undefined>
  write(account: string, value: string): Promise<void>
  remove(account: string): Promise<void>
}

/** All three steps of a probe together; the Secret Service may wait for a prompt nobody sees. */
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

/** Commands go in on stdin, so that no secret shows in the list of processes. */
function macKeychain(system: Pick<System, 'run'>): Keychain {
  const security = async (command: string) =>
    (await system.run('/usr/bin/security', ['-i'], { input: `${command}\n`, timeoutMs: PROBE_MS }))
      .stdout
  return {
    name: 'macOS Keychain',
    async read(account) {
      const output = await security(`find-generic-password -s ${SERVICE} -a ${account} -w`)
      return hexadecimal(output)
    },
    async write(account, value) {
      await security(`add-generic-password -U -s ${SERVICE} -a ${account} -w ${value}`)
    },
    async remove(account) {
      await security(`delete-generic-password -s ${SERVICE} -a ${account}`)
    },
  }
}

function secretService(system: Pick<System, 'run'>): Keychain {
  const secretTool = async (args: string[], input?: string) =>
    (
      await system.run('secret-tool', args, {
        timeoutMs: PROBE_MS,
        ...(input !== undefined && { input }),
      })
    ).stdout
  const attributes = (account: string) => ['service', SERVICE, 'account', account]
  return {
    name: 'Secret Service',
    async read(account) {
      return hexadecimal(await secretTool(['lookup', ...attributes(account)]))
    },
    async write(account, value) {
      await secretTool(['store', '--label', SERVICE, ...attributes(account)], value)
    },
    async remove(account) {
      await secretTool(['clear', ...attributes(account)])
    },
  }
}

function hexadecimal(output: string): string | undefined {
  return /^(?:password: )?"?([0-9a-f]{32,})"?$/m.exec(output.trim())?.[1]
}
