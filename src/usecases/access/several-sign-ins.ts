import type { TargetCredential } from '../../auth/credentials/credential.js'
import { loginCredential } from '../../auth/credentials/login.js'
import type { TokenSource } from '../../auth/tokens/token-source.js'
import type { SignInPort, SignInTarget, SignInView } from '../../auth/tokens/token-store.js'
import type { TargetConfig } from '../../config/types.js'

/** The sign-in of one target. */
interface Part {
  readonly signIn: SignInTarget
  readonly source: TokenSource
  readonly credential: TargetCredential
}

export interface SeveralOptions {
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
