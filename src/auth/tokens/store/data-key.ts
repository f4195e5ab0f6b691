import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { ProxyError } from '../../../util/errors.js'
import { isObject, stringMember, tryParseJson } from '../../../util/json.js'
import { readPrivateFile, writePrivateFile } from '../../../util/private-files.js'
import type { Clock, System } from '../../../util/runtime.js'
import { KEY_BYTES } from '../../../util/seal.js'
import { type Keychain, probeKeychain, systemKeychain } from './keychain.js'

export const STORE_CHOICES = ['auto', 'file', 'keychain'] as const

export type StoreChoice = (typeof STORE_CHOICES)[number]

export interface StoreDeps {
  clock: Clock
  system: Pick<System, 'pid' | 'isAlive' | 'run'>
  platform: NodeJS.Platform
  /** The user's data folder. */
  folder: string
  choice: StoreChoice
}

/** Decides between plain files and files that are encrypted with a key from the keychain. */
export interface DataKeys {
  /** The key to write with; `undefined` means plain files. Makes one the first time. */
  forWriting(): Promise<Buffer | undefined>
  /** The key to read encrypted files with; `undefined` when the keychain does not give it. */
  forReading(): Promise<Buffer | undefined>
  decision(): Promise<Decision>
}

interface Decision {
  readonly kind: 'file' | 'keychain'
  readonly reason: string
}

const ACCOUNT = 'data-key'

/**
 * Creates the keys of a store. The keychain is probed once and the outcome is kept, so that a
 * start with valid tokens costs no probe.
 */
export function createDataKeys(
  deps: StoreDeps,
  keychain: Keychain | undefined = systemKeychain(deps.system, deps.platform, deps.folder),
): DataKeys {
  const path = join(deps.folder, 'store.json')
  let cached: Buffer | undefined
  const readKey = async () => {
    const text = await keychain?.read(ACCOUNT)
    const key = Buffer.from(text ?? '', 'hex')
    if (key.length === KEY_BYTES) cached = key
    return cached
  }
  const decide = async (): Promise<Decision> => {
    if (deps.choice === 'file') return { kind: 'file', reason: 'requested with --store file' }
    const problem =
      keychain === undefined
        ? 'no keychain is supported on this platform'
        : await probeKeychain(keychain, deps.clock)
    if (problem === undefined) return { kind: 'keychain', reason: keychain?.name ?? '' }
    if (deps.choice === 'auto') return { kind: 'file', reason: problem }
    throw new ProxyError('CONFIG_INVALID', `The keychain cannot be used: ${problem}`, {
      hint: 'Use `--store file`, which keeps the tokens in files that only you can read.',
    })
  }
  const decision = async (): Promise<Decision> => {
    const kept = deps.choice === 'auto' ? parseDecision(await readPrivateFile(path)) : undefined
    return kept ?? (await decide())
  }
  return {
    decision,
    forReading: async () => cached ?? (await readKey()),
    async forWriting() {
      const decided = await decision()
      if (deps.choice === 'auto') await writePrivateFile(path, JSON.stringify(decided))
      if (decided.kind === 'file') return undefined
      const known = cached ?? (await readKey())
      if (known !== undefined) return known
      await keychain?.write(ACCOUNT, randomBytes(KEY_BYTES).toString('hex'))
      return await readKey()
    },
  }
}

function parseDecision(text: string | undefined): Decision | undefined {
  const value = text === undefined ? undefined : tryParseJson(text)
  const kind = isObject(value) ? stringMember(value, 'kind') : undefined
  if (!isObject(value) || (kind !== 'file' && kind !== 'keychain')) return undefined
  return { kind, reason: stringMember(value, 'reason') ?? '' }
}
