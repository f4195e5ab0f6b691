import type { Sourced } from './layers.js'
import type { LoadedConfig } from './load.js'
import { findSetting } from './settings.js'

/** A secret of the user that would be sent to a URL which only the working directory names. */
export interface TrustFlow {
  /** For messages: `AWS_SECRET_ACCESS_KEY`, `@~/.token`, `the kept sign-in`. */
  readonly what: string
  /** The URL without its query; with references unreplaced if it holds a secret of the user. */
  readonly to: string
  /** The URL itself, which may hold secrets. */
  readonly url: string
  /** Origin of the URL: `file ./x.json:4`. */
  readonly from: string
}

export interface Sent {
  /** Names of the targets that requests go to. */
  readonly targets: readonly string[]
  /** Headers that are sent to each of them in any case. */
  readonly headers: readonly string[]
  /** What is sent of the user's sign-in to targets without a credential of their own. */
  readonly signIn: readonly string[]
  /** What is sent of the user's sign-in where the credential acts on behalf of the user. */
  readonly onBehalf: readonly string[]
  /** What is sent to Descope; `undefined` when no request goes there. */
  readonly toDescope: readonly string[] | undefined
}

type Settings = Pick<LoadedConfig, 'origins' | 'isProjectFile'>

const CONFIG_URL = 'descope.configUrl'

/**
 * Finds secrets of the user that would be sent only because a file of the working directory says so:
 * a configuration file found there, or its `.env`. The project's own secrets may go where the
 * project says; any secret may go where a flag, the environment or the user's own file says.
 */
export function untrustedFlows(loaded: Settings, sent: Sent): TrustFlow[] {
  const flows: TrustFlow[] = []
  const send = (what: readonly string[], key: string) => {
    const place = loaded.origins.get(key)
    if (place?.value === undefined || !isNamedByProject(place, loaded)) return
    const own = usersPartsOf(place)
    const filled = place.parts?.find((part) => part.from.startsWith('.env '))
    const from = isOfProject(place.from, loaded) ? place.from : (filled?.from ?? place.from)
    const url = String(place.value)
    const to = withoutQuery(own.length > 0 ? (place.parts?.[0]?.written ?? url) : url)
    for (const name of [...what, ...own]) flows.push({ what: name, to, url, from })
  }
  if (sent.toDescope !== undefined) send(sent.toDescope, CONFIG_URL)
  for (const name of sent.targets) {
    const ownUrl = `targets.${name}.${CONFIG_URL}`
    if (sent.toDescope !== undefined) send(sent.toDescope, ownUrl)
    const start = `targets.${name}.credential.`
    const type = loaded.origins.get(`${start}type`)?.value
    const atDescope = type === 'token-exchange' || type === 'connection'
    const credential = [...loaded.origins]
      .filter(([key]) => key.startsWith(start))
      .flatMap(([key, given]) => usersSecretsOf(key, given, loaded))
    const signIn = type === 'none' ? sent.signIn : atDescope ? sent.onBehalf : []
    const given = [...credential, ...signIn]
    send([...sent.headers, ...given], `targets.${name}.url`)
    send(credential, `${start}tokenUrl`)
    if (atDescope) for (const key of [CONFIG_URL, ownUrl]) send(given, key)
  }
  return unique(flows)
}

const isOfProject = (from: string, { isProjectFile }: Settings) =>
  from.startsWith('.env ') || (isProjectFile && from.startsWith('file '))

/** A URL that is just a reference to an environment variable counts as named by the environment. */
function isNamedByProject({ from, parts = [] }: Sourced, loaded: Settings): boolean {
  if (!isOfProject(from, loaded)) return parts.some((part) => part.from.startsWith('.env '))
  return !parts.some((part) => part.isWhole && part.from.startsWith('env '))
}

/** Environment variables and files named in references: their content is the user's. */
function usersPartsOf({ parts = [] }: Sourced): string[] {
  return parts.filter(({ from }) => !from.startsWith('.env ')).map(({ name }) => name)
}

function usersSecretsOf(key: string, given: Sourced, loaded: Settings): string[] {
  const parts = usersPartsOf(given)
  const isUsers = !isOfProject(given.from, loaded) && given.from !== 'default'
  if (parts.length > 0 || !isUsers || !findSetting(key)?.secret || given.parts) return parts
  return [/^env (\w+)$/.exec(given.from)?.[1] ?? `${key} (${given.from})`]
}

const withoutQuery = (url: string) => url.split(/[?#]/, 1)[0] ?? ''

function unique(flows: readonly TrustFlow[]): TrustFlow[] {
  const known = new Map(flows.map((flow) => [`${flow.what} ${flow.url} ${flow.from}`, flow]))
  return [...known.values()]
}
