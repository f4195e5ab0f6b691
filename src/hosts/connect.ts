import { isLoopbackUrl } from '../util/private-addresses.js'
import { HOST_IDS, type Host, type HostId, type Where } from './host.js'
import { deriveName, findHost } from './hosts.js'
import { launchOf, pinnedProduct, shellLine } from './launch.js'
import { offerOf } from './offer.js'

/** How a person connects an assistant to a server, on whatever machine they are. */
export interface ConnectOffer {
  readonly id: HostId
  readonly title: string
  /** What to do in the program itself. */
  readonly steps: string | undefined
  /** Opens the assistant and adds the server. */
  readonly link: string | undefined
  /** A command line of the assistant, the same for every shell. */
  readonly command: string | undefined
  /** What belongs into the assistant's file. */
  readonly snippet: string
  /** Where that file is. */
  readonly files: readonly { readonly systems: string; readonly path: string }[]
  /** Our own command line that writes the file, on every system. */
  readonly add: string
  /** What to do afterwards, so that the assistant signs in. */
  readonly afterwards: string
}

/** People elsewhere: their home folder is called what their own system calls it. */
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

/** No copy of this program is named: `npx` finds one. */
const PROGRAM = { node: '', script: '' }

/** Says for each assistant how it is connected to the server at `url`, for people elsewhere. */
export function connectOffers(url: string): ConnectOffer[] {
  return HOST_IDS.map((id) => connectOffer(findHost(id), url))
}

function connectOffer(host: Host, url: string): ConnectOffer {
  const { id, title, noHttp } = host
  const where = { platform: 'linux', program: PROGRAM } as const
  const name = deriveName(host, new URL(url).host)
  const connection =
    noHttp === undefined
      ? ({ kind: 'http', url } as const)
      : launchOf(where, url, { absolute: false })
  const entry = host.entry({ name, connection, values: {}, references: [] })
  const offer = offerOf(where, host, name, entry, { project: false })
  const http = noHttp === undefined ? ['--http'] : []
  const add = ['npx', '-y', pinnedProduct(), 'add', id, url, ...http, '--write']
  return {
    id,
    title,
    // Steps in a program that calls from the internet lead nowhere on this machine.
    steps: isLoopbackUrl(url) ? undefined : host.steps,
    link: offer.link,
    // Where there is a link, the command holds quotes, which not all shells read alike.
    command: offer.link === undefined ? offer.command : undefined,
    snippet: offer.snippet.trimEnd(),
    files: filesOf(host),
    add: shellLine(where, add),
    afterwards: host.signIn?.(name) ?? host.afterwards,
  }
}

/** Systems on which the path is the same stand together. */
function filesOf(host: Host): ConnectOffer['files'] {
  const systems = new Map<string, string[]>()
  for (const [system, where] of Object.entries(ELSEWHERE)) {
    const path = host.userFile(where)
    systems.set(path, [...(systems.get(path) ?? []), system])
  }
  return [...systems].map(([path, names]) => ({ systems: names.join(', '), path }))
}
