import { resolve } from 'node:path'
import { readText } from '../../util/bounded-file.js'
import { ProxyError } from '../../util/errors.js'
import { fileErrorCode } from '../../util/private-files.js'
import { isSecretName, secretsOfUrl } from '../../util/redact.js'
import type { Runtime } from '../../util/runtime.js'
import { requireTrust } from '../access/check-trust.js'
import { findBridgeTarget } from '../access/find-target.js'
import { type CheckFlags, parseHeaders } from '../inputs.js'
import type { CheckedTarget } from './choose-credential.js'

/**
 * Finds the one target to check.
 *
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID`
 */
export async function resolveCheckTarget(
  runtime: Runtime,
  argument: string | undefined,
  flags: CheckFlags,
  asServe: boolean,
): Promise<CheckedTarget> {
  const target = await findBridgeTarget(runtime, argument, flags, 'report')
  const { targets = [] } = target.configured ?? {}
  if (targets.length > 1) {
    throw new ProxyError('USAGE', 'Several targets are configured', {
      hint: `Name one of ${targets.map(({ name }) => name).join(', ')}.`,
    })
  }
  await requireTrust(runtime, target, flags, { asServe, usesDescope: false })
  const { grant } = target.signIn
  const [configured] = targets
  if (configured?.program !== undefined) {
    throw new ProxyError('USAGE', `The target "${configured.name}" is a program on stdio`, {
      hint: 'Run `mcp-descope-proxy serve`, and check its URL: targets with a URL can be checked directly.',
    })
  }
  const url = configured === undefined && grant.kind === 'server' ? grant.url : configured?.url
  if (url === undefined) throw new ProxyError('USAGE', 'There is no target')
  const place = new URL(url)
  place.hash = ''
  return { target, url: place, headers: parseHeaders(flags.header, runtime.env) }
}

/**
 * Reads the file of expected failures.
 *
 * @throws {ProxyError} `CONFIG_INVALID`
 */
export function readBaseline({ cwd }: Pick<Runtime, 'cwd'>, file: string | undefined) {
  if (file === undefined) return undefined
  try {
    return { ids: parseBaseline(readText(resolve(cwd, file)), file), file }
  } catch (cause) {
    if (cause instanceof ProxyError) throw cause
    const why = fileErrorCode(cause) ?? 'unknown reason'
    throw new ProxyError('CONFIG_INVALID', `Cannot read the baseline ${file} (${why})`, {
      hint: 'Name a file with one id a line; an empty one will do.',
      cause,
    })
  }
}

/** Lists the secrets known from the start, which must not be printed. */
export function secretsOf({ env }: Runtime, { target, headers, url }: CheckedTarget) {
  return [
    ...secretsOfUrl(url.href),
    ...(target.configured?.loaded.secrets ?? []),
    ...['MCP_DESCOPE_TOKEN', 'MCP_DESCOPE_CLIENT_SECRET', 'TARGET_TOKEN'].map((name) => env[name]),
    ...headers.filter(([name, value]) => mayBeSecret(name, value)).map(([, value]) => value),
    ...headers.map(([, value]) => /^\S+\s+(\S+)$/.exec(value)?.[1]),
  ]
}

/** A custom header may hold a key whatever its name is, but not if it is short. */
function mayBeSecret(name: string, value: string): boolean {
  return isSecretName(name) || value.length >= 12
}

const IDS =
  /^(reach\.(dns|tcp|tls)|auth\.(challenge|prm|as-metadata|token|rejects-no-token|rejects-bad-token)|protocol\.(modern|legacy|schema)|tools\.(list|names|call:.+)|(resources|prompts)\.list|budget\.p95)$/

/**
 * Reads a list of expected failures: one id per line; `#` starts a comment.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when a line is no id.
 */
export function parseBaseline(text: string, file: string): Set<string> {
  const ids = text
    .split(/\r?\n/)
    .map((line, index) => ({ id: line.replace(/(^|\s)#.*/, '').trim(), line: index + 1 }))
    .filter(({ id }) => id !== '')
  for (const { id, line } of ids) {
    if (IDS.test(id)) continue
    throw new ProxyError('CONFIG_INVALID', `${file}:${line}: ${JSON.stringify(id)} is no check`, {
      hint: 'Write one id a line, such as "auth.rejects-bad-token # until the next release".',
    })
  }
  return new Set(ids.map(({ id }) => id))
}
