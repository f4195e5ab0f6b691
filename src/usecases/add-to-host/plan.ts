import { resolve } from 'node:path'
import type { LoadedConfig } from '../../config/load.js'
import { referencedVariables } from '../../config/referenced-variables.js'
import { findSetting } from '../../config/settings.js'
import { dataFolder } from '../../config/sources.js'
import type { Entry, Host, Server } from '../../hosts/host.js'
import { checkName, deriveName, findHost, joinPath } from '../../hosts/hosts.js'
import { isTemporary, launchOf } from '../../hosts/launch.js'
import { ProxyError } from '../../util/errors.js'
import { setMember } from '../../util/json.js'
import { requireFolder } from '../../util/private-files.js'
import { isSecretName } from '../../util/redact.js'
import type { Runtime } from '../../util/runtime.js'
import { likelyEndpoint, shownUrl } from '../../util/url-text.js'
import { findBridgeTarget, type TargetFlags } from '../access/find-target.js'
import type { AddFlags } from '../inputs.js'

/** What is to be added, to which host, and where. */
export interface AddPlan {
  readonly host: Host
  readonly name: string
  readonly entry: Entry
  /** The host's file to change. */
  readonly path: string
  /** Notes for the user, one sentence each. */
  readonly notes: readonly string[]
}

/**
 * Works out what is to be added, without looking at the host's file.
 *
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID`
 */
export async function planAdd(
  runtime: Runtime,
  hostName: string,
  argument: string | undefined,
  flags: AddFlags,
): Promise<AddPlan> {
  const host = findHost(hostName)
  refuseWhatHostLacks(host, flags)
  const path = pathOf(runtime, host, flags)
  const target = flags.http
    ? await findServerUrl(runtime, argument, flags)
    : await findAddTarget(runtime, argument, flags)
  const name =
    flags.name === undefined ? deriveName(host, target.title) : checkName(host, flags.name)
  const references = [...new Set([...target.references, ...flags.env])]
  const server: Server = {
    name,
    connection: flags.http
      ? { kind: 'http', url: target.argument }
      : launchOf(runtime, target.argument, { absolute: flags.absolute ?? false }),
    values: target.values,
    references,
  }
  return {
    host,
    name,
    entry: host.entry(server),
    path,
    notes: notesOn(runtime, host, target, flags),
  }
}

function refuseWhatHostLacks({ title, noHttp, noReferences }: Host, flags: AddFlags): void {
  if (flags.http && noHttp !== undefined) {
    throw new ProxyError('USAGE', noHttp.reason, { hint: noHttp.hint })
  }
  if (flags.env.length > 0 && noReferences !== undefined) {
    throw new ProxyError('USAGE', noReferences, {
      hint: `Make it a target of your configuration file, with \`@/path/to/file\` for each secret, and add that to ${title}.`,
    })
  }
}

function pathOf(runtime: Runtime, host: Host, flags: AddFlags): string {
  if (!flags.project) return host.userFile(runtime)
  if (host.projectFile !== undefined) return joinPath(runtime, runtime.cwd, ...host.projectFile)
  throw new ProxyError('USAGE', `${host.title} has no file for a project`, {
    hint: 'Leave out `--project`.',
  })
}

function notesOn(
  { program }: Runtime,
  { title, noReferences }: Host,
  { argument, references }: AddTarget,
  flags: AddFlags,
): string[] {
  const notes = notesOnUrl(argument)
  const names = [...new Set([...references, ...flags.env])]
  if (names.length > 0 && noReferences !== undefined) {
    notes.push(
      `${noReferences}. The bridge will miss ${names.join(', ')}: use \`@/path/to/file\` in your configuration file instead.`,
    )
  } else if (names.length > 0) {
    notes.push(`The bridge needs ${names.join(', ')}. Only the names are written.`)
  }
  if (flags.absolute && isTemporary(program.script)) {
    notes.push(
      `${program.script} is a copy that npx may delete. Run \`npm install --global mcp-descope-proxy\` first, and \`add\` with that.`,
    )
  }
  if (flags.absolute && flags.project) {
    notes.push(`The paths are those of this machine, and ${title} reads the file for everybody.`)
  }
  return notes
}

/** Warns of probable mistakes, before the assistant fails because of them. */
function notesOnUrl(argument: string): string[] {
  if (!URL.canParse(argument)) return []
  const url = new URL(argument)
  const notes: string[] = []
  const likely = url.pathname === '/' ? likelyEndpoint(url) : undefined
  if (likely !== undefined) {
    notes.push(
      `${shownUrl(url)} is the front page of a server, and most have their MCP endpoint elsewhere. Did you mean ${likely}? \`mcp-descope-proxy inspect\` tells.`,
    )
  }
  if (url.search !== '') {
    notes.push('The query of the URL is written as it is. Nothing secret should be in it.')
  }
  return notes
}

/** How the bridge is started. */
interface AddTarget {
  /** A URL, or the name of a configured target. */
  readonly argument: string
  /** The basis for the name of the server. */
  readonly title: string
  /** Variables whose values may be written. */
  readonly values: Readonly<Record<string, string>>
  /** Variables that the bridge needs and whose values are never written. */
  readonly references: readonly string[]
}

/** Variables written with their values: none of them is a secret. */
const PLAIN_VARIABLES = [
  'MCP_DESCOPE_HOME',
  'MCP_DESCOPE_CLIENT_ID',
  'MCP_DESCOPE_CLIENT_METADATA_URL',
]

const SECRET_VARIABLES = ['MCP_DESCOPE_CLIENT_SECRET', 'MCP_DESCOPE_TOKEN']

/**
 * Finds what `[target-or-url]` means, and which variables the bridge needs: a host starts it without
 * those that are set here.
 *
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID`
 */
async function findAddTarget(
  runtime: Runtime,
  argument: string | undefined,
  flags: TargetFlags,
): Promise<AddTarget> {
  const { env, cwd } = runtime
  if (env['MCP_DESCOPE_HOME']) requireFolder(dataFolder(runtime)) // the bridge will look there
  const { signIn, configured } = await findBridgeTarget(runtime, argument, flags)
  const values: Record<string, string> = {}
  for (const name of PLAIN_VARIABLES) if (env[name]) setMember(values, name, env[name])
  const profile = flags.profile ?? env['MCP_DESCOPE_PROFILE']
  if (profile) values['MCP_DESCOPE_PROFILE'] = profile
  const secrets = SECRET_VARIABLES.filter((name) => env[name])
  if (configured === undefined && signIn.grant.kind === 'server') {
    const { url } = signIn.grant
    refuseSecret(url.href, (parameter) => {
      return `Make it a target of your configuration file, with "${parameter}=\${VARIABLE}" in its URL, and name that.`
    })
    return { argument: withoutFragment(url), title: url.host, values, references: secrets }
  }
  const file = flags.config ?? env['MCP_DESCOPE_CONFIG']
  if (file) values['MCP_DESCOPE_CONFIG'] = resolve(cwd, file)
  const used = configured === undefined ? [] : [...variablesOf(configured.loaded, env)]
  for (const { name, value, isSecret } of used) if (!isSecret) setMember(values, name, value)
  const references = used.filter(({ isSecret }) => isSecret).map(({ name }) => name)
  const { name } = signIn
  const names = [...new Set([...secrets, ...references])]
  return { argument: name, title: name, values, references: names }
}

/**
 * Finds the server that a host is to call without the bridge: a URL, or the endpoint of a target.
 *
 * @throws {ProxyError} `USAGE` when that is no URL.
 */
async function findServerUrl(
  runtime: Runtime,
  argument: string | undefined,
  flags: TargetFlags = {},
): Promise<AddTarget> {
  const own = await findEndpoint(runtime, argument, flags)
  if (own !== undefined) return own
  if (argument === undefined || !/^https?:\/\//i.test(argument)) {
    throw new ProxyError('USAGE', 'With `--http`, the host needs a URL and not a name', {
      hint: 'Name the public URL of `mcp-descope-proxy serve`: https://…/mcp. A target is named by its own endpoint, where server.endpoints is each or both and server.publicUrl is set.',
    })
  }
  const { signIn } = await findBridgeTarget(runtime, argument, {})
  const url = signIn.grant.kind === 'server' ? signIn.grant.url : new URL(argument)
  refuseSecret(url.href, () => 'Leave out `--http`: a bridge can be given the URL by name.')
  return { argument: withoutFragment(url), title: url.host, values: {}, references: [] }
}

/** Finds the public URL of a target's own endpoint; `undefined` without one. */
async function findEndpoint(
  runtime: Runtime,
  name: string | undefined,
  { config: file, profile }: TargetFlags,
): Promise<AddTarget | undefined> {
  if (name === undefined || !/^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(name)) return undefined
  const { loadConfig } = await import('../../config/load.js')
  const given = { ...(file && { config: file }), ...(profile && { profile }) }
  const { config } = loadConfig(runtime, { flags: given, for: 'stdio' })
  if (config.server.publicUrl === undefined) return undefined
  const { endpointsOf } = await import('../../config/endpoints.js')
  const found = endpointsOf(config, 0).find(({ target }) => target?.name === name)
  if (found === undefined) return undefined
  const title = `${name}-${new URL(found.url).host}`
  return { argument: found.url, title, values: {}, references: [] }
}

/** Removes the fragment, which is never sent and may be private. */
function withoutFragment(given: URL): string {
  const url = new URL(given)
  url.hash = ''
  return url.href
}

function refuseSecret(url: string, hint: (parameter: string) => string): void {
  const parameter = secretParameter(url)
  if (parameter === undefined) return
  const what = `The URL holds a secret (${JSON.stringify(parameter)}), and secrets are never written`
  throw new ProxyError('USAGE', what, { hint: hint(parameter) })
}

/** Yields the variables that hold settings, and those that the configuration refers to. */
function* variablesOf(loaded: LoadedConfig, env: Runtime['env']) {
  for (const [key, { from }] of loaded.origins) {
    const name = /^env (\w+)$/.exec(from)?.[1]
    const value = name && env[name]
    if (!value || !/^(descope|targets)\.|^server\.publicUrl$/.test(key)) continue
    const isSecret = findSetting(key)?.secret !== false || secretParameter(value) !== undefined
    yield { name, value, isSecret }
  }
  for (const name of referencedVariables(loaded)) yield { name, value: '', isSecret: true }
}

/** Returns the first query parameter whose name says that it is a secret. */
export function secretParameter(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined
  return [...new URL(url).searchParams.keys()].find(isSecretName)
}
