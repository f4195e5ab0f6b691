import type { TargetCredential } from '../../auth/credentials/credential.js'
import { loginCredential } from '../../auth/credentials/login.js'
import type { TokenSource } from '../../auth/tokens/token-source.js'
import {
  bindingOf,
  type SignInPort,
  type SignInTarget,
  type SignInView,
} from '../../auth/tokens/token-store.js'
import type { RunBridgeOptions } from '../../bridge/run.js'
import type { LoadedConfig } from '../../config/load.js'
import type { TargetConfig } from '../../config/types.js'
import type { Upstream } from '../../upstream/upstream.js'
import type { Logger } from '../../util/logger.js'
import type { Runtime } from '../../util/runtime.js'
import { type SignInStores, withAcceptance } from './token-sources.js'

export interface ConfiguredAccessOptions {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  logger: Logger
  source: TokenSource
  stores: SignInStores
  signIn: SignInTarget
  loaded: LoadedConfig
  /** Targets that are signed in to one by one. */
  several?: SeveralSignIns | undefined
}

/**
 * Creates the access to targets with credentials of their own. If Descope is configured, somebody has to
 * sign in there before anything is sent, and no target ever gets that token.
 */
export async function configuredAccess(
  options: ConfiguredAccessOptions,
): Promise<ConfiguredAccess> {
  const { runtime, logger, source, stores, signIn, loaded, several } = options
  const { createCredential } = await import('../../auth/credentials/create.js')
  const { signInPlaceOf } = await import('../../config/endpoints.js')
  const named = loaded.config.targets.filter(({ name }) => name === signIn.name)
  const { configUrl } = signInPlaceOf(
    loaded.config,
    named.length > 0 ? named : loaded.config.targets,
  )
  if (configUrl === undefined || signIn.grant.kind !== 'issuer') {
    const credentialOf = ({ name, credential, url }: TargetConfig) =>
      several?.partOf(name)?.credential ??
      createCredential(credential, { runtime, targetUrl: url ?? '', descope: undefined })
    const caller = () => ({ principal: undefined, accessToken: undefined })
    const watch = (upstream: Upstream, { name }: TargetConfig) => {
      const part = several?.partOf(name)
      return part === undefined ? upstream : withAcceptance(upstream, part.source)
    }
    return { credentialOf, caller, signsIn: several !== undefined, watch }
  }
  const [{ createSignedInCaller }, { discover, parseConfigUrl, tokenEndpointOf }] =
    await Promise.all([
      import('../../auth/tokens/signed-in-caller.js'),
      import('../../auth/descope/discovery.js'),
    ])
  const project = parseConfigUrl(configUrl)
  const tokenEndpoint = async () => {
    return tokenEndpointOf(await discover(runtime, project, loaded.config.descope.issuers), project)
  }
  const descope = { project, tokenEndpoint }
  const caller = createSignedInCaller({
    runtime,
    logger,
    source,
    target: signIn.name,
    config: { ...loaded.config.descope, configUrl },
    resource: signIn.grant.resource,
    keptClaims: loaded.config.targets.some(({ rules }) => rules !== undefined) ? 'all' : [],
    clientId: async () =>
      signIn.client.id ?? (await stores.store.load(bindingOf(signIn)))?.client.id,
  })
  const credentialOf = ({ credential, url }: TargetConfig) =>
    createCredential(credential, { runtime, targetUrl: url ?? '', descope })
  return { credentialOf, caller, signsIn: true }
}

/** How requests to targets are authenticated, and for whom they are made. */
export interface ConfiguredAccess extends Pick<RunBridgeOptions, 'caller'> {
  credentialOf(target: TargetConfig): TargetCredential
  /** Somebody can sign in here. */
  signsIn: boolean
  /** Wraps the upstream of a target, to see which tokens it accepts. */
  watch?(upstream: Upstream, target: TargetConfig): Upstream
}

/** The sign-in of one target. */
interface Part {
  readonly signIn: SignInTarget
  readonly source: TokenSource
  readonly credential: TargetCredential
}

interface SeveralOptions {
  targets: readonly TargetConfig[]
  /** What all of them share. */
  common: SignInTarget
  sourceOf(signIn: SignInTarget): Promise<TokenSource>
  /** Opens the sign-in of one of them. */
  open(signIn: SignInTarget): Promise<SignInPort>
}

/** The sign-ins of several targets. */
export interface SeveralSignIns {
  partOf(name: string): Part | undefined
  signIns(): SignInTarget[]
  /** Joins them to one, which signs in to the target that a need names. */
  open(): Promise<SignInPort>
}

/**
 * Creates a sign-in for each target without a credential. The client's secret is not used: it belongs
 * to one authorization server, and each target may name another.
 */
export async function severalSignIns(options: SeveralOptions): Promise<SeveralSignIns> {
  const { targets, common } = options
  const parts = new Map<string, Part>()
  for (const { name, url, credential } of targets) {
    if (credential.type !== 'none' || url === undefined) continue
    const { id, metadataUrl } = common.client
    const grant = { ...common.grant, kind: 'server' as const, url: new URL(url) }
    const signIn = { ...common, name, grant, client: { id, metadataUrl } }
    const source = await options.sourceOf(signIn)
    parts.set(name, {
      signIn,
      source,
      credential: loginCredential({ source, target: name, isOneOfSeveral: true }),
    })
  }
  return {
    partOf: (name) => parts.get(name),
    signIns: () => [...parts.values()].map(({ signIn }) => signIn),
    async open() {
      return joinPorts((name) => options.open((parts.get(name) as Part).signIn))
    },
  }
}

function joinPorts(open: (name: string) => Promise<SignInPort>): SignInPort {
  const listeners = new Set<(state: SignInView) => void>()
  const ports = new Map<string, SignInPort>()
  let current: SignInPort | undefined
  const portOf = async (name: string) => {
    const port = ports.get(name) ?? (await open(name))
    if (!ports.has(name)) port.onChange((state) => listeners.forEach((tell) => void tell(state)))
    ports.set(name, port)
    return port
  }
  return {
    async ensure(request) {
      current = await portOf(request.target ?? '')
      await current.ensure(request)
    },
    get state() {
      return current?.state ?? { phase: 'preparing' }
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
