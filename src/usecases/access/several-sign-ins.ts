import type { TargetCredential } from '../../auth/credentials/credential.js'
import { loginCredential } from '../../auth/credentials/login.js'
import type {
  SignInNeed,
  SignInPort,
  SignInTarget,
  SignInView,
} from '../../auth/tokens/sign-in-target.js'
import type { TokenSource } from '../../auth/tokens/token-source.js'
import type { TargetConfig } from '../../config/types.js'

/** What a target that says itself who issues its tokens needs of its own. */
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

/** The sign-ins of several targets, one after the other. */
export interface SeveralSignIns {
  partOf(name: string): Part | undefined
  signIns(): SignInTarget[]
  open(): Promise<SignInPort>
  /** The first of the needs that nobody has met yet. */
  need(): SignInNeed | undefined
  /** Tells whether one of the needs was met elsewhere. */
  isMet(): Promise<boolean>
}

/**
 * Gives each target that has no credential a sign-in of its own. The client's secret is left out:
 * it belongs to one authorization server, and each target may name another.
 */
export async function severalSignIns(options: SeveralOptions): Promise<SeveralSignIns> {
  const { targets, common } = options
  const needs = new Map<string, SignInNeed>()
  const parts = new Map<string, Part>()
  for (const { name, url, credential } of targets) {
    if (credential.type !== 'none' || url === undefined) continue
    const { id, metadataUrl } = common.client
    const grant = { ...common.grant, kind: 'server' as const, url: new URL(url) }
    const signIn = { ...common, name, grant, client: { id, metadataUrl } }
    const source = await options.sourceOf(signIn)
    const onNeed = (need: SignInNeed) => void needs.set(name, { ...need, target: name })
    parts.set(name, {
      signIn,
      source,
      credential: loginCredential({ source, target: name, onNeed }),
    })
  }
  return {
    partOf: (name) => parts.get(name),
    signIns: () => [...parts.values()].map(({ signIn }) => signIn),
    need: () => needs.values().next().value,
    async isMet() {
      for (const [name, { refused }] of needs) {
        const token = await parts.get(name)?.source.get()
        if (token === undefined || token === refused) continue
        needs.delete(name)
        return true
      }
      return false
    },
    async open() {
      return openAll(needs, (name) => options.open((parts.get(name) as Part).signIn))
    },
  }
}

/** Joins the sign-ins that are needed to one, which is over when nothing is needed any more. */
function openAll(
  needs: Map<string, SignInNeed>,
  open: (name: string) => Promise<SignInPort>,
): SignInPort {
  const listeners = new Set<(state: SignInView) => void>()
  const ports = new Map<string, SignInPort>()
  let current: SignInPort | undefined
  let failed: string | undefined
  /** Whoever does not want to sign in to one of them can still sign in to the next. */
  const putLast = (name: string) => {
    const need = needs.get(name)
    if (need === undefined) return
    needs.delete(name)
    needs.set(name, need)
  }
  const portOf = async (name: string) => {
    const port = ports.get(name) ?? (await open(name))
    if (!ports.has(name)) port.onChange((state) => listeners.forEach((tell) => void tell(state)))
    ports.set(name, port)
    return port
  }
  return {
    async ensure({ interactive, signal }) {
      if (failed !== undefined) putLast(failed)
      for (let [next] = needs; next !== undefined; [next] = needs) {
        const [name, need] = next
        failed = name
        current = await portOf(name)
        await current.ensure({ ...need, interactive, signal })
        failed = undefined
        if (needs.get(name) === need) needs.delete(name)
      }
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
