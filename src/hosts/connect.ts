import { isLoopbackUrl } from '../util/private-addresses.js'
import { HOST_IDS, type Host, type HostId, type Where } from './host.js'
import { deriveName, findHost } from './hosts.js'
import { installOptionsOf } from './install-options.js'
import { launchOf, pinnedProduct, shellLine } from './launch.js'

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

/** Systems of other people, whose home folder is written the way their system writes it. */
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
    // with these steps the vendor's servers call the URL, and they cannot reach loopback
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
