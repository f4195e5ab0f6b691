import type { TargetCredential } from '../../auth/credentials/credential.js'
import { loginCredential } from '../../auth/credentials/login.js'
import { noCredential, withHeaders } from '../../auth/credentials/static.js'
import { bindingOf, type SignInPort, type SignInTarget } from '../../auth/tokens/sign-in-target.js'
import type { TokenSource } from '../../auth/tokens/token-source.js'
import { storeKey } from '../../auth/tokens/token-store.js'
import { createMemory } from '../../bridge/offline.js'
import type { RunBridgeOptions } from '../../bridge/run.js'
import type { TargetConfig } from '../../config/types.js'
import { createTarget } from '../../gateway/target.js'
import { isCi } from '../../sign-in/options.js'
import { ProxyError } from '../../util/errors.js'
import type { Logger } from '../../util/logger.js'
import type { Runtime } from '../../util/runtime.js'
import { didYouMeanEndpoint } from '../../util/url-text.js'
import type { ConfiguredAccess } from '../access/configured-access.js'
import type { BridgeTarget } from '../access/find-target.js'
import type { SeveralSignIns } from '../access/several-sign-ins.js'
import {
  chooseTokenSource,
  identitiesOf,
  openStores,
  type SignInStores,
  storedSource,
  withAcceptance,
} from '../access/token-sources.js'
import type { BridgeFlags } from '../inputs.js'
import { openNetwork } from '../network.js'
import { connectTarget, isRetrySafe, openProgram, speakProtocol } from './targets.js'

/** What a target that is only a URL has: the settings' defaults, without loading the settings. */
export const URL_DEFAULTS = {
  tools: {
    allow: ['*'],
    deny: [],
    scopes: {},
    roles: {},
    tenants: {},
    whenScopeMissing: 'list',
  },
  timeouts: { list: 3, answer: 300, start: 60, idle: 300 },
  names: { maxLength: 56 },
  limits: { children: 100 },
} as const

/** Joins the bridge's parts. Whatever a good start does not need is loaded later. */
export async function composeBridge(
  given: Runtime,
  { signIn, configured }: BridgeTarget,
  flags: BridgeFlags,
  headers: readonly [string, string][],
  logger: Logger,
): Promise<RunBridgeOptions> {
  const network = openNetwork(given, flags, isRetrySafe)
  const runtime: Runtime = { ...given, fetch: network.fetch, allowHttp: flags.allowHttp }
  const stores = openStores(runtime, flags.store)
  const { source, kind } = await chooseTokenSource(
    runtime,
    stores,
    signIn,
    isCi(runtime.env),
    'awaited',
  )
  let hostName: string | undefined
  const configs = configured?.targets ?? [unconfigured(signIn)]
  const [first] = configs
  if (configs.length > 1 && headers.length > 0) {
    throw new ProxyError('USAGE', '--header is for one target, and several are configured', {
      hint: 'Name one of them, or give each its credential in the configuration.',
    })
  }
  const open = async (target: SignInTarget) => {
    const { openSignIn } = await import('../access/sign-in-text.js')
    return openSignIn(runtime, stores, target, flags, () => hostName)
  }
  const several =
    configs.length > 1 && signIn.grant.kind === 'server'
      ? await openSeveral(runtime, stores, configs, signIn, open)
      : undefined
  const access: ConfiguredAccess =
    configured !== undefined && (configs.length > 1 || first?.credential.type !== 'none')
      ? await (await import('../access/configured-access.js')).configuredAccess({
          ...{ runtime, logger, source, stores, signIn, several },
          ...configured,
        })
      : ownAccess(source, signIn.name, headers)
  const { timeouts, names, limits } = configured?.loaded.config ?? URL_DEFAULTS
  const budget = { max: limits.children, used: 0 }
  const binding = bindingOf(signIn)
  const targets = await Promise.all(
    configs.map(async (config) => {
      if (config.program !== undefined) {
        return openProgram(runtime, config, config.program, { timeouts, budget, logger })
      }
      const transport = flags.transport === 'auto' ? config.transport : flags.transport
      const upstream = await connectTarget(runtime, network, new URL(config.url ?? ''), transport)
      const { clock } = runtime
      const parts = { clock, logger, target: config.name, protocol: flags.protocol }
      const watched = access.watch?.(upstream, config) ?? upstream
      const spoken = await speakProtocol(watched, parts)
      return createTarget(config, withHeaders(access.credentialOf(config), headers), spoken)
    }),
  )
  return {
    name: signIn.name,
    targets,
    caller: access.caller,
    openSignIn:
      several?.open ?? (kind === 'stored' && access.signsIn ? () => open(signIn) : undefined),
    async hasToken({ target = '', refused }) {
      const token = await (several?.partOf(target)?.source ?? source).get()
      return token !== undefined && token !== refused
    },
    ...((kind === 'stored' || several !== undefined) && {
      identities: () => identitiesOf(stores, several?.signIns() ?? [signIn]),
    }),
    guess(name) {
      const url = configs.find((config) => config.name === name)?.url
      return url === undefined ? undefined : didYouMeanEndpoint(new URL(url))
    },
    onHostName: (name) => {
      hostName = name
    },
    memory: createMemory(
      stores.folder,
      storeKey({ ...binding, url: configs.map(({ name, url = name }) => url).join(' ') }),
    ),
    logger,
    loginWaitMs: flags.loginWait * 1_000,
    waitForLogin: flags.waitForLogin,
    timeouts: { list: timeouts.list * 1_000, answer: timeouts.answer * 1_000 },
    maxNameLength: names.maxLength,
    random: Math.random,
  }
}

/** One token of the environment is for one target, and there are several. */
async function openSeveral(
  runtime: Runtime,
  stores: SignInStores,
  targets: readonly TargetConfig[],
  common: SignInTarget,
  open: (target: SignInTarget) => Promise<SignInPort>,
): Promise<SeveralSignIns> {
  const { severalSignIns } = await import('../access/several-sign-ins.js')
  return await severalSignIns({
    ...{ targets, common, open },
    sourceOf: async (target) => storedSource(runtime, stores, bindingOf(target), target.client),
  })
}

/** A target of which only the URL is known. */
function unconfigured({ name, grant }: BridgeTarget['signIn']): TargetConfig {
  const url = 'url' in grant ? grant.url.href : ''
  const { tools } = URL_DEFAULTS
  const plain = { transport: 'auto', program: undefined, credential: { type: 'none' } } as const
  return { name, prefix: '', url, tools, methods: [], ...plain }
}

/** The target says itself who issues its tokens, or wants none. */
function ownAccess(
  source: TokenSource,
  target: string,
  headers: readonly [string, string][],
): ConfiguredAccess {
  const hasOwn = headers.some(([name]) => name === 'authorization')
  const credential: TargetCredential = hasOwn ? noCredential() : loginCredential({ source, target })
  // an object for each request, by which the credential knows what was sent with it
  const caller = () => ({ principal: undefined, accessToken: undefined })
  return {
    credentialOf: () => credential,
    caller,
    signsIn: !hasOwn,
    watch: (upstream) => withAcceptance(upstream, source),
  }
}
