import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { proveRequest } from '../auth/oauth/proof-keys.js'
import { createNetwork, type Network, type NetworkOptions } from '../upstream/http/network.js'
import { MIB, readText } from '../util/bounded-file.js'
import { ProxyError } from '../util/errors.js'
import { fileErrorCode } from '../util/private-files.js'
import type { Runtime } from '../util/runtime.js'

/** Ten times what all authorities of a system take. */
export const MAX_PEM_BYTES = 8 * MIB

/** Flags of every command that speaks to an authorization server. */
export interface NetworkFlags {
  ca: readonly string[]
  useSystemCa: boolean
  proxyEnv: boolean
  ipv4: boolean
  allowHttp: boolean
}

/**
 * Opens the network as the flags say.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when a file of certificates cannot be read.
 */
export function openNetwork(
  runtime: Runtime,
  flags: NetworkFlags,
  isRetrySafe?: NetworkOptions['isRetrySafe'],
): Network {
  const ca = readAuthorities(flags, runtime)
  const { proxyEnv: proxies, ipv4 } = flags
  return createNetwork({ runtime, ca, proxies, ipv4, isRetrySafe, prove: proveRequest })
}

/** Returns a runtime whose `fetch` uses the network as the flags say. */
export function withNetwork(runtime: Runtime, flags: NetworkFlags): Runtime {
  const { allowHttp } = flags
  return { ...runtime, fetch: openNetwork(runtime, flags).fetch, allowHttp }
}

/**
 * Reads the certificate authorities of `--ca`, `--use-system-ca`, `SSL_CERT_FILE` and
 * `NODE_EXTRA_CA_CERTS`. Node itself reads the last one, but
 * ignores it once we pass a list of our own.
 *
 * @returns PEM texts; none when Node's own list is enough.
 * @throws {ProxyError} `CONFIG_INVALID` when a file cannot be read or is no PEM file, or Node cannot
 *   read this machine's authorities.
 */
export function readAuthorities(
  { ca, useSystemCa }: Pick<NetworkFlags, 'ca' | 'useSystemCa'>,
  { env, cwd, nodeVersion }: Pick<Runtime, 'env' | 'cwd' | 'nodeVersion'>,
  ofSystem = loadSystemAuthorities,
): string[] {
  const system = useSystemCa ? ofSystem() : []
  if (system === undefined) {
    throw new ProxyError(
      'CONFIG_INVALID',
      `--use-system-ca needs Node.js 22.15 or newer, and this is ${nodeVersion}`,
      { hint: 'Name the PEM file of the authority with `--ca <file>` or NODE_EXTRA_CA_CERTS.' },
    )
  }
  const named = [...ca, ...(env['SSL_CERT_FILE'] ? [env['SSL_CERT_FILE']] : [])]
  if (named.length === 0 && !useSystemCa) return []
  const own = env['NODE_EXTRA_CA_CERTS']
  const files = [...named, ...(own ? [own] : [])].map((path) => {
    const text = readPem(resolve(cwd, path))
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text
    throw new ProxyError('CONFIG_INVALID', `${path} holds no certificate`, {
      hint: 'Name a PEM file: it has a line "-----BEGIN CERTIFICATE-----".',
    })
  })
  return [...files, ...system]
}

/** Reads this machine's authorities, PEM; `undefined` where Node cannot. Loads `tls` only then. */
function loadSystemAuthorities(): string[] | undefined {
  const tls: { getCACertificates?: (type: 'system') => string[] } = createRequire(import.meta.url)(
    'node:tls',
  )
  return tls.getCACertificates?.('system')
}

function readPem(path: string): string {
  try {
    return readText(path, MAX_PEM_BYTES)
  } catch (cause) {
    const why = fileErrorCode(cause) ?? 'unknown reason'
    throw new ProxyError('CONFIG_INVALID', `Cannot read the certificates in ${path} (${why})`, {
      hint: 'Name a PEM file that exists, with `--ca <file>` or SSL_CERT_FILE.',
      cause,
    })
  }
}
