import type { JsonObject } from '../util/json.js'
import { isLoopbackUrl } from '../util/private-addresses.js'
import type { Runtime } from '../util/runtime.js'
import { type Entry, HOST_IDS, type Host, type HostId, type Where } from './host.js'
import { deriveName, findHost } from './hosts.js'
import { launchOf, pinnedProduct, shellLine } from './launch.js'
import { tomlTable } from './toml-document.js'

/** The ways to connect an assistant to a server, for a person on any machine. */
export interface ConnectOffer {
  readonly id: HostId
  readonly title: string
  /** How to add the server in the assistant itself. */
  readonly steps: string | undefined
  /** Opens the assistant and adds the server. */
  readonly link: string | undefined
  /** A command line of the assistant, the same for every shell. */
  readonly command: string | undefined
  /** What to put into the assistant's configuration file. */
  readonly snippet: string
  /** Paths of that file. */
  readonly files: readonly { readonly systems: string; readonly path: string }[]
  /** Our own command line that writes the file, on every system. */
  readonly add: string
  /** What to do afterwards, so that the change takes effect and the assistant signs in. */
  readonly afterwards: string
}

/** Other people's systems, each with its own notation of the home folder. */
const ELSEWHERE: Readonly<Record<string, Where>> = {
  macOS: { platform: 'darwin', homeDir: '~', env: {}, cwd: '.' },
  Linux: { platform: 'linux', homeDir: '~', env: {}, cwd: '.' },
  Windows: {
    platform: 'win32',
    homeDir: '%USERPROFILE%',
    env: { APPDATA: '%APPDATA%' },
    cwd: '.',
  },
}

/** Paths of this copy of the program mean nothing elsewhere; `npx` finds a copy there. */
const PROGRAM = { node: '', script: '' }

/**
 * Returns the ways to connect each assistant to the server at `url`, for people elsewhere.
 *
 * @param target Whose endpoint it is, where the server has others.
 */
export function connectOffers(url: string, target?: string): ConnectOffer[] {
  return HOST_IDS.map((id) => connectOffer(findHost(id), url, target))
}

function connectOffer(host: Host, url: string, target: string | undefined): ConnectOffer {
  const { id, title, noHttp } = host
  const where = { platform: 'linux', program: PROGRAM } as const
  const from = new URL(url).host
  const name = deriveName(host, target === undefined ? from : `${target}-${from}`)
  const connection =
    noHttp === undefined
      ? ({ kind: 'http', url } as const)
      : launchOf(where, url, { absolute: false })
  const entry = host.entry({ name, connection, values: {}, references: [] })
  const offer = installOptionsOf(where, host, name, entry, { project: false })
  const http = noHttp === undefined ? ['--http'] : []
  const named = target === undefined ? [] : ['--name', name]
  const add = ['npx', '-y', pinnedProduct(), 'add', id, url, ...http, ...named, '--write']
  return {
    id,
    title,
    // these steps make the vendor's servers call the URL, and they cannot reach loopback
    steps: isLoopbackUrl(url) ? undefined : host.steps,
    link: offer.link,
    // the command of an assistant with a link contains quotes, which shells read differently
    command: offer.link === undefined ? offer.command : undefined,
    snippet: offer.snippet.trimEnd(),
    files: filesOf(host),
    add: shellLine(where, add),
    afterwards: host.signIn?.(name) ?? host.afterwards,
  }
}

/** Groups systems with the same path. */
function filesOf(host: Host): ConnectOffer['files'] {
  const systems = new Map<string, string[]>()
  for (const [system, where] of Object.entries(ELSEWHERE)) {
    const path = host.userFile(where)
    systems.set(path, [...(systems.get(path) ?? []), system])
  }
  return [...systems].map(([path, names]) => ({ systems: names.join(', '), path }))
}

/** The ways to add a server to a host. */
export interface InstallOptions {
  /** What to put into the file. */
  readonly snippet: string
  /** The same as an object; `undefined` for TOML. */
  readonly document: JsonObject | undefined
  /** A command of the host that does the same. */
  readonly command: string | undefined
  /** A link that does the same when it is opened. */
  readonly link: string | undefined
}

export function installOptionsOf(
  where: Pick<Runtime, 'platform'>,
  host: Pick<Host, 'id' | 'format' | 'container'>,
  name: string,
  entry: Entry,
  { project }: { project: boolean },
): InstallOptions {
  const { value, inputs } = entry
  const document = {
    ...(inputs.length > 0 && { inputs }),
    [host.container]: { [name]: value },
  }
  const isToml = host.format === 'toml'
  return {
    snippet: isToml
      ? tomlTable([host.container, name], value)
      : `${JSON.stringify(document, undefined, 2)}\n`,
    document: isToml ? undefined : document,
    command: commandOf(where, host.id, name, entry, project),
    // a link always adds to the user's own file
    link: project ? undefined : linkOf(host.id, name, entry),
  }
}

function commandOf(
  where: Pick<Runtime, 'platform'>,
  id: Host['id'],
  name: string,
  { value, inputs }: Entry,
  project: boolean,
): string | undefined {
  if (id === 'claude-code') {
    // options come before the name: after it they may be ignored
    const scope = ['--scope', project ? 'project' : 'user']
    const { type, url } = value
    if (type === 'http' && typeof url === 'string') {
      return shellLine(where, ['claude', 'mcp', 'add', '--transport', type, ...scope, name, url])
    }
    return shellLine(where, ['claude', 'mcp', 'add-json', ...scope, name, JSON.stringify(value)])
  }
  if (id === 'vscode' && !project) {
    return shellLine(where, ['code', '--add-mcp', vscodeDefinition(name, { value, inputs })])
  }
  return undefined
}

function linkOf(id: Host['id'], name: string, entry: Entry): string | undefined {
  if (id === 'vscode') {
    return `vscode:mcp/install?${encodeURIComponent(vscodeDefinition(name, entry))}`
  }
  if (id !== 'cursor') return undefined
  const config = Buffer.from(JSON.stringify(entry.value)).toString('base64')
  const query = `name=${encodeURIComponent(name)}&config=${encodeURIComponent(config)}`
  return `cursor://anysphere.cursor-deeplink/mcp/install?${query}`
}

function vscodeDefinition(name: string, { value, inputs }: Entry): string {
  return JSON.stringify({ name, ...value, ...(inputs.length > 0 && { inputs }) })
}
