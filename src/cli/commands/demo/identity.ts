import { join, resolve } from 'node:path'
import type { IdentityInput } from '../../../demo/identity/index.js'
import { aboutFolder } from '../../../demo/identity/kept.js'
import { readText } from '../../../util/bounded-file.js'
import { messageOf, ProxyError } from '../../../util/errors.js'
import { isObject, tryParseJson } from '../../../util/json.js'
import { acquireLock, type Lease } from '../../../util/lock.js'
import { fileErrorCode } from '../../../util/private-files.js'
import type { Runtime } from '../../../util/runtime.js'
import { type DemoFlags, runUntilStopped } from './parts.js'

/** Further flags of `demo identity`. */
export interface IdentityFlags extends DemoFlags {
  /** Form of `iss` in access tokens. */
  issuer?: NonNullable<IdentityInput['issuer']>
  scopes?: string[]
  /** Life of an access token, seconds. */
  ttl?: number
  /** Folder in which the project outlives a restart. */
  state?: string
  clientId?: string
  /** File with options of the emulator, as JSON. */
  options?: string
}

const CLIENT_ID = 'MCP_DESCOPE_CLIENT_ID'
const CLIENT_SECRET = 'MCP_DESCOPE_CLIENT_SECRET'

/**
 * Runs the Descope emulator until a signal comes. Its user is signed in already and approves
 * everything; the device grant is on.
 *
 * @returns The exit status.
 * @throws {ProxyError} `LISTEN_FAILED`, `USAGE`, or `CONFIG_INVALID` for a folder that cannot be used.
 */
export async function runIdentity(runtime: Runtime, flags: IdentityFlags): Promise<number> {
  const { startIdentity } = await import('../../../demo/identity/index.js')
  const input = identityInput(runtime, flags)
  const lease = input.stateFolder === undefined ? undefined : await lock(runtime, input.stateFolder)
  const start = () => startIdentity({ ...input, clock: runtime.clock })
  try {
    return await runUntilStopped(runtime, flags, start, ({ url, configUrl, machineClient }) => ({
      message: `The Descope emulator listens on ${url}`,
      variables: {
        DESCOPE_CONFIG_URL: configUrl,
        ...(machineClient && { [CLIENT_ID]: machineClient.clientId }),
        // what came from the environment is there already, and must not get into the log of a CI
        ...(machineClient &&
          runtime.env[CLIENT_SECRET] !== machineClient.clientSecret && {
            [CLIENT_SECRET]: machineClient.clientSecret,
          }),
      },
    }))
  } finally {
    await lease?.release()
  }
}

function identityInput(runtime: Runtime, flags: IdentityFlags): IdentityInput {
  const { port, issuer, scopes, ttl, state, options } = flags
  const machineClient = machineClientOf(runtime, flags)
  return {
    device: true,
    ...(options !== undefined && readOptions(resolve(runtime.cwd, options))),
    ...(port !== 0 && { port }),
    ...(issuer !== undefined && { issuer }),
    ...(scopes !== undefined && { scopes }),
    ...(ttl !== undefined && { ttl }),
    ...(state !== undefined && { stateFolder: resolve(runtime.cwd, state) }),
    ...(machineClient !== undefined && { machineClient }),
  }
}

/** Returns the client to create, if one is named; its secret never comes from the command line. */
function machineClientOf({ env }: Runtime, flags: IdentityFlags): IdentityInput['machineClient'] {
  const clientId = flags.clientId ?? (env[CLIENT_ID] || undefined)
  const clientSecret = env[CLIENT_SECRET] || undefined
  if (clientId === undefined) {
    if (clientSecret === undefined) return undefined
    throw new ProxyError('USAGE', `${CLIENT_SECRET} is set, but no client is named`, {
      hint: `Set ${CLIENT_ID} or give "--client-id", or unset ${CLIENT_SECRET}.`,
    })
  }
  return { clientId, ...(clientSecret !== undefined && { clientSecret }) }
}

function readOptions(path: string): IdentityInput {
  let text: string
  try {
    text = readText(path)
  } catch (cause) {
    const why = fileErrorCode(cause) ?? messageOf(cause)
    throw new ProxyError('USAGE', `Cannot read the emulator's options in ${path}: ${why}`, {
      hint: 'Give "--options" a JSON file, such as {"scopes":["mcp:use"]}.',
      cause,
    })
  }
  const options = tryParseJson(text)
  if (isObject(options)) return options as IdentityInput
  throw new ProxyError('USAGE', `The emulator's options in ${path} are not a JSON object`, {
    hint: 'Write an object, such as {"scopes":["mcp:use"]}.',
  })
}

async function lock({ clock, system }: Runtime, folder: string): Promise<Lease> {
  const deps = { clock, system, folder: join(folder, 'locks') }
  const lease = await acquireLock(deps, 'emulator', { waitMs: 0 }).catch((error) => {
    throw aboutFolder(error)
  })
  if (lease !== undefined) return lease
  throw new ProxyError('USAGE', `Another emulator runs on the folder ${folder}`, {
    hint: 'Stop it, or give "--state" another folder.',
  })
}
