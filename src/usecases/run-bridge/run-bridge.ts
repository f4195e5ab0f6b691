import type { TargetCredential } from '../../auth/credentials/credential.js'
import { loginCredential } from '../../auth/credentials/login.js'
import { noCredential } from '../../auth/credentials/static.js'
import type { TokenSource } from '../../auth/tokens/token-source.js'
import {
  bindingOf,
  type SignInPort,
  type SignInTarget,
  storeKey,
} from '../../auth/tokens/token-store.js'
import { createMemory } from '../../bridge/offline.js'
import { type BridgedHost, type RunBridgeOptions, runStdio } from '../../bridge/run.js'
import type { Target } from '../../gateway/target.js'
import { isCi } from '../../sign-in/options.js'
import { isRetrySafe } from '../../util/failure.js'
import { createLogger, type Logger } from '../../util/logger.js'
import { createRedactor, isSecretName, isShortSecret, secretsOfUrl } from '../../util/redact.js'
import type { Runtime } from '../../util/runtime.js'
import { didYouMeanEndpoint } from '../../util/url-text.js'
import type { ConfiguredAccess, SeveralSignIns } from '../access/configured-access.js'
import {
  type BridgeTarget,
  findBridgeTarget,
  placesOf,
  requirePrivacy,
} from '../access/find-target.js'
import {
  chooseTokenSource,
  identitiesOf,
  openStores,
  type SignInStores,
  storedSource,
  viewerOf,
  withAcceptance,
} from '../access/token-sources.js'
import type { BridgeFlags } from '../inputs.js'
import { openNetwork } from '../network.js'
import { configsOf, openBridgeTargets, readHeaders, URL_DEFAULTS } from './targets.js'

/**
 * Runs the bridge between the host on stdin and stdout and its targets. Whatever a start with a good
 * sign-in does not need is loaded later.
 *
 * @returns The exit status.
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID` before anything was sent.
 */
export async function runBridge(
  given: Runtime,
  argument: string | undefined,
  flags: BridgeFlags,
): Promise<number> {
  const target = await findBridgeTarget(given, argument, flags)
  requirePrivacy(placesOf(target), flags.allowHttp)
  const headers = readHeaders(given, target, flags)
  const logger = await openBridgeLogger(given, target, flags, headers)
  const network = openNetwork(given, flags, isRetrySafe)
  const runtime: Runtime = { ...given, fetch: network.fetch, allowHttp: flags.allowHttp }
  const host: BridgedHost = { name: undefined }
  const tokens = await openTokens(runtime, target, flags, host)
  const access = await chooseAccess(runtime, target, tokens, headers, logger)
  const parts = { runtime, network, access, headers, flags, logger }
  const targets = await openBridgeTargets(target, parts)
  const [, ownHeader] = headers.find(([name]) => name === 'authorization') ?? []
  const fixedToken =
    ownHeader ?? (tokens.kind === 'static' ? given.env['MCP_DESCOPE_TOKEN'] : undefined)
  const all = { target, tokens, access, targets, host, flags, logger, fixedToken }
  const options = optionsOf(all)
  return await runStdio(runtime, options)
}

/** The source of the targets' tokens, and the sign-in that fills it. */
interface Tokens {
  readonly stores: SignInStores
  readonly source: TokenSource
  readonly kind: 'static' | 'client' | 'stored'
  /** Targets that are signed in to one by one. */
  readonly several: SeveralSignIns | undefined
  openSignIn(): Promise<SignInPort>
}

async function openTokens(
  runtime: Runtime,
  { signIn, configured }: BridgeTarget,
  flags: BridgeFlags,
  host: BridgedHost,
): Promise<Tokens> {
  const stores = openStores(runtime, flags.store)
  const unattended = isCi(runtime.env)
  const chosen = await chooseTokenSource(runtime, stores, signIn, unattended, 'awaited')
  const open = async (to: SignInTarget) => {
    const { openSignIn } = await import('../access/sign-in-text.js')
    return openSignIn(runtime, stores, to, flags, () => host.name)
  }
  const targets = configured?.targets ?? []
  if (targets.length < 2 || signIn.grant.kind !== 'server') {
    const openAlone = async () => withFreshTokens(await open(signIn), chosen.source)
    return { ...chosen, stores, several: undefined, openSignIn: openAlone }
  }
  // one token of the environment is for one target, and there are several
  const { severalSignIns } = await import('../access/configured-access.js')
  const several = await severalSignIns({
    ...{ targets, common: signIn, open },
    sourceOf: async (to) => storedSource(runtime, stores, bindingOf(to), to.client),
  })
  return { ...chosen, stores, several, openSignIn: several.open }
}

/** A source rereads the store at most every two seconds; after a sign-in its tokens are needed at once. */
function withFreshTokens(port: SignInPort, source: TokenSource): SignInPort {
  return {
    async ensure(request) {
      await port.ensure(request)
      source.lookAgain?.()
    },
    get state() {
      return port.state
    },
    onChange: (listener) => port.onChange(listener),
  }
}

async function chooseAccess(
  runtime: Runtime,
  { signIn, configured }: BridgeTarget,
  { source, stores, several }: Tokens,
  headers: readonly [string, string][],
  logger: Logger,
): Promise<ConfiguredAccess> {
  const [first, second] = configured?.targets ?? []
  if (configured === undefined || (second === undefined && first?.credential.type === 'none')) {
    return ownAccess(source, signIn.name, headers)
  }
  const { configuredAccess } = await import('../access/configured-access.js')
  const { loaded } = configured
  return await configuredAccess({ runtime, logger, source, stores, signIn, several, loaded })
}

/** For a target that names the issuer of its tokens itself, or needs no token. */
function ownAccess(
  source: TokenSource,
  target: string,
  headers: readonly [string, string][],
): ConfiguredAccess {
  const hasOwn = headers.some(([name]) => name === 'authorization')
  const credential: TargetCredential = hasOwn ? noCredential() : loginCredential({ source, target })
  return {
    credentialOf: () => credential,
    // a new object for each request, as the credential stores by it which token was sent
    caller: () => ({ principal: undefined, accessToken: undefined }),
    signsIn: !hasOwn,
    watch: (upstream) => withAcceptance(upstream, source),
  }
}

interface BridgeParts {
  readonly target: BridgeTarget
  readonly tokens: Tokens
  readonly access: ConfiguredAccess
  readonly targets: readonly Target[]
  readonly host: BridgedHost
  /** A token that takes the place of a sign-in. */
  readonly fixedToken: string | undefined
  readonly flags: BridgeFlags
  readonly logger: Logger
}

function optionsOf({ target, tokens, access, ...parts }: BridgeParts): RunBridgeOptions {
  const { signIn, configured } = target
  const { stores, source, kind, several, openSignIn } = tokens
  const { timeouts, names } = configured?.loaded.config ?? URL_DEFAULTS
  const configs = configsOf(target)
  const canSignIn = several !== undefined || (kind === 'stored' && access.signsIn)
  const places = configs.map(({ name, url = name }) => url).join(' ')
  return {
    name: signIn.name,
    targets: parts.targets,
    caller: access.caller,
    openSignIn: canSignIn ? openSignIn : undefined,
    async hasToken({ target: name = '', refused }) {
      const token = await (several?.partOf(name)?.source ?? source).get()
      return token !== undefined && token !== refused
    },
    ...((kind === 'stored' || several !== undefined) && {
      identities: () => identitiesOf(stores, several?.signIns() ?? [signIn]),
    }),
    guessEndpoint(name) {
      const url = configs.find((config) => config.name === name)?.url
      return url === undefined ? undefined : didYouMeanEndpoint(new URL(url))
    },
    host: parts.host,
    memory: createMemory(stores.folder, storeKey({ ...bindingOf(signIn), url: places }), () =>
      viewerOf(stores, several?.signIns() ?? [signIn], parts.fixedToken),
    ),
    logger: parts.logger,
    loginWaitMs: parts.flags.loginWait * 1_000,
    waitForLogin: parts.flags.waitForLogin,
    timeouts: { list: timeouts.list * 1_000, answer: timeouts.answer * 1_000 },
    maxNameLength: names.maxLength,
    random: Math.random,
  }
}

const SECRETS = ['MCP_DESCOPE_TOKEN', 'MCP_DESCOPE_CLIENT_SECRET']

/** Opens the log of the bridge, on stderr and in a file, and logs the warnings of the configuration. */
async function openBridgeLogger(
  { io, clock, env }: Runtime,
  target: BridgeTarget,
  { logLevel, logFile }: BridgeFlags,
  headers: readonly [string, string][],
): Promise<Logger> {
  const { configured } = target
  const { grant } = target.signIn
  const { log } = configured?.loaded.config ?? {}
  const write = logFile && (await import('../../util/log-file.js')).openLogFile(logFile)
  const secrets = [
    ...(configured?.loaded.secrets ?? []),
    ...(grant.kind === 'server' ? secretsOfUrl(grant.url.href) : []),
    ...SECRETS.map((name) => env[name]),
    ...headers.filter(([name]) => isSecretName(name)).map(([, value]) => value),
  ]
  const options = {
    io: {
      err(line: string) {
        io.err(line)
        if (write) write(line)
      },
    },
    clock,
    level: logLevel ?? log?.level ?? 'info',
    format: log?.format ?? 'text',
  }
  const logger = createLogger({ ...options, redact: createRedactor(secrets) })
  for (const warning of configured?.loaded.warnings ?? []) logger.warn('configuration', warning)
  // such a secret may be a word of the warning, which never holds its value
  const plain = createLogger({ ...options, redact: createRedactor() })
  for (const warning of await warningsOfShort(env, target)) plain.warn('configuration', warning)
  return logger
}

async function warningsOfShort(
  env: Runtime['env'],
  { configured }: BridgeTarget,
): Promise<string[]> {
  const short = SECRETS.filter((name) => isShortSecret(env[name] ?? ''))
  if (configured === undefined && short.length === 0) return []
  const { warnOfShortSecret, warnOfShortSecrets } = await import('../../config/public-value.js')
  return [
    ...(configured === undefined ? [] : warnOfShortSecrets(configured.loaded)),
    ...short.map((name) => warnOfShortSecret(name, 'environment')),
  ]
}
