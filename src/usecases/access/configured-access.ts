import type { TargetCredential } from '../../auth/credentials/credential.js'
import type { TokenSource } from '../../auth/tokens/token-source.js'
import { bindingOf, type SignInTarget } from '../../auth/tokens/token-store.js'
import type { RunBridgeOptions } from '../../bridge/run.js'
import type { LoadedConfig } from '../../config/load.js'
import type { TargetConfig } from '../../config/types.js'
import type { Upstream } from '../../upstream/upstream.js'
import type { Logger } from '../../util/logger.js'
import type { Runtime } from '../../util/runtime.js'
import type { SeveralSignIns } from './several-sign-ins.js'
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
  /** Wraps the way to a target, to see which tokens it accepts. */
  watch?(upstream: Upstream, target: TargetConfig): Upstream
}
