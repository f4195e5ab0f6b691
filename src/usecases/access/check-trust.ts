import { createHash } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { bindingOf } from '../../auth/tokens/token-store.js'
import type { Sourced } from '../../config/layers.js'
import type { LoadedConfig } from '../../config/load.js'
import { variablesIn } from '../../config/references.js'
import { findSetting } from '../../config/settings.js'
import { dataFolder } from '../../config/sources.js'
import { isCi } from '../../sign-in/options.js'
import { ProxyError } from '../../util/errors.js'
import { readPrivateFile, writePrivateFile } from '../../util/private-files.js'
import { isSecretName, printable } from '../../util/redact.js'
import type { Runtime } from '../../util/runtime.js'
import type { CheckFlags } from '../inputs.js'
import type { BridgeTarget } from './find-target.js'
import { openStores } from './token-sources.js'

type Where = Pick<Runtime, 'cwd' | 'env' | 'homeDir' | 'platform'>

/** How requests are authenticated, apart from the configuration. */
export interface TrustUse {
  /** Targets get only what is configured, as `serve` does it. */
  readonly asServe: boolean
  /** Descope is requested a token of the client's own. */
  readonly usesDescope: boolean
}

/**
 * Refuses to send the user's secrets to a URL that only a file of the working directory names: the
 * folder may be a clone of a foreign project. At a terminal the user can confirm, and the consent is stored
 * for these secrets, these URLs and this folder.
 *
 * @throws {ProxyError} `CONFIG_INVALID` before anything was sent.
 */
export async function requireTrust(
  runtime: Runtime,
  { signIn, configured }: BridgeTarget,
  flags: Pick<CheckFlags, 'trust' | 'header' | 'store'>,
  { asServe, usesDescope }: TrustUse,
): Promise<void> {
  if (configured === undefined || flags.trust) return
  const { loaded } = configured
  const { id, secret } = signIn.client
  const ofClient = id !== undefined && secret ? ['MCP_DESCOPE_CLIENT_SECRET'] : []
  const sent = {
    targets: configured.targets.map(({ name }) => name),
    headers: flags.header.flatMap(secretsOfHeader),
    toDescope: usesDescope ? ofClient : undefined,
  }
  // looking for a stored sign-in may open a keychain, so do it only if one could be sent
  const any = ['a sign-in']
  if (untrustedFlows(loaded, { ...sent, signIn: any, onBehalf: any }).length === 0) return
  const onBehalf = await signInsOf(runtime, signIn, flags, ofClient)
  const flows = untrustedFlows(loaded, { ...sent, signIn: asServe ? [] : onBehalf, onBehalf })
  if (flows.length === 0) return
  const path = consentFile(runtime, flows)
  if ((await readPrivateFile(path)) !== undefined) return // the user agreed to all of this before
  const { errIsTty, inIsTty } = runtime.io
  const canConfirm = errIsTty && inIsTty && !isCi(runtime.env)
  if (canConfirm && (await confirm(runtime, flows))) {
    const sends = flows.map(({ what, to }) => `${what} to ${to}`)
    return writePrivateFile(path, `${JSON.stringify({ folder: runtime.cwd, sends })}\n`)
  }
  const what = `Not sent, because this folder is not trusted yet:\n${list(flows)}`
  throw new ProxyError('CONFIG_INVALID', what, { hint: hintFor(flows, loaded.isProjectFile) })
}

/** A header on the command line is a secret by its name, or because it holds a variable. */
function secretsOfHeader(header: string): string[] {
  const variables = variablesIn(header)
  if (variables.length > 0) return variables
  const name = header.split(':', 1)[0]?.trim() ?? ''
  return isSecretName(name) ? [`--header ${name}`] : []
}

async function signInsOf(
  runtime: Runtime,
  signIn: BridgeTarget['signIn'],
  { store }: Pick<CheckFlags, 'store'>,
  ofClient: readonly string[],
): Promise<readonly string[]> {
  if (runtime.env['MCP_DESCOPE_TOKEN']) return ['MCP_DESCOPE_TOKEN']
  const kept = await openStores(runtime, store).store.load(bindingOf(signIn))
  return kept === undefined ? ofClient : ['the stored sign-in']
}

async function confirm({ io }: Pick<Runtime, 'io'>, flows: readonly TrustFlow[]): Promise<boolean> {
  io.err(`The files of this folder would send:\n${list(flows)}\n`)
  io.err('Is that intended? If others wrote these files, read them first. [y/N] ')
  const lines = createInterface({ input: io.stdin, terminal: false })
  const answer = await new Promise<string>((resolve) => {
    lines.once('line', resolve).once('close', () => resolve(''))
  })
  lines.close()
  io.stdin.pause()
  return /^\s*y(es)?\s*$/i.test(answer)
}

const list = (flows: readonly TrustFlow[]) =>
  flows.map(({ what, to, from }) => `  ${what} to ${printable(to)}, named by ${from}`).join('\n')

function hintFor(flows: readonly TrustFlow[], isProjectFile: boolean): string {
  const files = new Set(flows.map(({ from }) => /^file (.*?)(:\d+)?$/.exec(from)?.[1]))
  const [file] = files
  const byConfig = isProjectFile && files.size === 1 && file !== undefined
  const otherwise = byConfig ? `, or name the file with \`--config ${file}\`` : ''
  return `Nothing was sent. If you trust whoever wrote these files, add \`--trust\`${otherwise}.`
}

/** Path of a stored consent: one file for each combination of secrets, URLs and folder. */
function consentFile(where: Where, flows: readonly TrustFlow[]): string {
  const sends = flows.map(({ what, url }) => JSON.stringify([what, url])).sort()
  const consent = JSON.stringify([realpathSync(where.cwd), ...sends])
  const hash = createHash('sha256').update(consent).digest('hex')
  return join(dataFolder(where), 'trust', `${hash}.json`)
}

/** A secret of the user that would be sent to a URL which only the working directory names. */
interface TrustFlow {
  /** For messages: `AWS_SECRET_ACCESS_KEY`, `@~/.token`, `the stored sign-in`. */
  readonly what: string
  /** The URL without its query; with references unreplaced if it holds a secret of the user. */
  readonly to: string
  /** The URL itself, which may hold secrets. */
  readonly url: string
  /** Origin of the URL: `file ./x.json:4`. */
  readonly from: string
}

interface Sent {
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
