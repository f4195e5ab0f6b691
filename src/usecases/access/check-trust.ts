import { createHash } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { bindingOf } from '../../auth/tokens/token-store.js'
import { dataFolder } from '../../config/folders.js'
import { variablesIn } from '../../config/references.js'
import { type TrustFlow, untrustedFlows } from '../../config/trust.js'
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
  /** Descope is asked for a token of the client's own. */
  readonly asksDescope: boolean
}

/**
 * Refuses to send the user's secrets to a URL that only a file of the working directory names: the
 * folder may be a clone of a foreign project. At a terminal the user is asked, and a yes is stored for
 * these secrets, these URLs and this folder.
 *
 * @throws {ProxyError} `CONFIG_INVALID` before anything was sent.
 */
export async function requireTrust(
  runtime: Runtime,
  { signIn, configured }: BridgeTarget,
  flags: Pick<CheckFlags, 'trust' | 'header' | 'store'>,
  { asServe, asksDescope }: TrustUse,
): Promise<void> {
  if (configured === undefined || flags.trust) return
  const { loaded } = configured
  const { id, secret } = signIn.client
  const ofClient = id !== undefined && secret ? ['MCP_DESCOPE_CLIENT_SECRET'] : []
  const sent = {
    targets: configured.targets.map(({ name }) => name),
    headers: flags.header.flatMap(secretsOfHeader),
    toDescope: asksDescope ? ofClient : undefined,
  }
  // looking for a stored sign-in may open a keychain, so do it only if one could go astray
  const any = ['a sign-in']
  if (untrustedFlows(loaded, { ...sent, signIn: any, onBehalf: any }).length === 0) return
  const onBehalf = await signInsOf(runtime, signIn, flags, ofClient)
  const flows = untrustedFlows(loaded, { ...sent, signIn: asServe ? [] : onBehalf, onBehalf })
  if (flows.length === 0) return
  const path = trustFile(runtime, flows)
  if ((await readPrivateFile(path)) !== undefined) return // the user agreed to all of this before
  const { errIsTty, inIsTty } = runtime.io
  const mayAsk = errIsTty && inIsTty && !isCi(runtime.env)
  if (mayAsk && (await ask(runtime, flows))) {
    const sends = flows.map(({ what, to }) => `${what} to ${to}`)
    return writePrivateFile(path, `${JSON.stringify({ folder: runtime.cwd, sends })}\n`)
  }
  const what = `Nobody said that this folder is trusted:\n${list(flows)}`
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
  return kept === undefined ? ofClient : ['the kept sign-in']
}

async function ask({ io }: Pick<Runtime, 'io'>, flows: readonly TrustFlow[]): Promise<boolean> {
  io.err(`The files of this folder would send:\n${list(flows)}\n`)
  io.err('Is that meant? If others wrote them, look at them first. [y/N] ')
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

/** Path of a yes. Another secret, another place or another folder is another question. */
function trustFile(where: Where, flows: readonly TrustFlow[]): string {
  const sends = flows.map(({ what, url }) => JSON.stringify([what, url])).sort()
  const question = JSON.stringify([realpathSync(where.cwd), ...sends])
  const hash = createHash('sha256').update(question).digest('hex')
  return join(dataFolder(where), 'trust', `${hash}.json`)
}
