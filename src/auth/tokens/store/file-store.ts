import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  isObject,
  type JsonObject,
  stringMember,
  stringsMember,
  tryParseJson,
} from '../../../util/json.js'
import { acquireLock } from '../../../util/lock.js'
import { readPrivateFile, removeFile, writePrivateFile } from '../../../util/private-files.js'
import { seal, sealedParts, unseal } from '../../../util/seal.js'
import { RetryableError } from '../../oauth/failure.js'
import type { ClientStore } from '../../oauth/registration.js'
import { storeKey, type TokenRecord, type TokenStore } from '../token-store.js'
import { createDataKeys, type DataKeys, type StoreDeps } from './data-key.js'
import { numberMember, parseClient, parseRecord, stringMembers } from './record.js'

/** Version of the files' format. Files of another version are ignored. */
const SCHEMA = 1

/** Longer than any exchange with an authorization server takes. */
const LOCK_WAIT_MS = 45_000

/**
 * Creates the store of this user: one file for each binding, readable by the user only, encrypted
 * with a key from the keychain where there is one. Files that others can read are refused.
 */
export function createTokenStore(
  deps: StoreDeps,
  keys: DataKeys = createDataKeys(deps),
): TokenStore {
  const folder = join(deps.folder, 'tokens')
  const pathOf = (key: string) => join(folder, `${key}.json`)

  const read = async (key: string): Promise<TokenRecord | undefined> => {
    const text = await readPrivateFile(pathOf(key))
    const file = text === undefined ? undefined : tryParseJson(text)
    if (!isObject(file) || file['schema'] !== SCHEMA) return undefined
    if (file['sealed'] === undefined) return parseRecord(file['record'])
    const secret = await keys.forReading()
    const opened = secret && unseal(readSealed(file['sealed']), secret, key)
    return opened === undefined ? undefined : parseRecord(tryParseJson(opened))
  }

  return {
    async load(binding) {
      const key = storeKey(binding)
      const record = await read(key)
      // the name of a file proves nothing: the record inside must have the same binding
      return record && storeKey(record.binding) === key ? record : undefined
    },
    async save(record) {
      const key = storeKey(record.binding)
      const secret = await keys.forWriting()
      const content =
        secret === undefined
          ? { record }
          : { sealed: writeSealed(seal(JSON.stringify(record), secret, key)) }
      await writePrivateFile(pathOf(key), `${JSON.stringify({ schema: SCHEMA, ...content })}\n`)
    },
    async remove(binding) {
      const key = storeKey(binding)
      await removeFile(pathOf(key))
      // a process that was killed while writing leaves a temporary file, which holds tokens too
      for (const name of await readdir(folder).catch(() => [])) {
        if (name.startsWith(`${key}.json.`)) await removeFile(join(folder, name))
      }
    },
    async list() {
      const names = await readdir(folder).catch(() => [])
      const found = names.filter((name) => /^[0-9a-f]{32}\.json$/.test(name)).sort()
      const records = await Promise.all(found.map((name) => read(name.slice(0, -5))))
      return records.filter((record) => record !== undefined)
    },
    place: async () => ({ ...(await keys.decision()), path: folder }),
    exclusively: (binding, task) => withLock(deps, `tokens-${storeKey(binding)}`, task),
  }
}

/** The members of `sealed` in a file, base64: the nonce, the encrypted record, the tag. */
const SEALED_MEMBERS = ['iv', 'data', 'tag']

function writeSealed(sealed: Buffer): JsonObject {
  const { nonce, data, tag } = sealedParts(sealed)
  const [iv, ...others] = [nonce, data, tag].map((part) => part.toString('base64'))
  return { iv, data: others[0], tag: others[1] }
}

function readSealed(sealed: unknown): Buffer {
  const texts = SEALED_MEMBERS.map((name) => isObject(sealed) && stringMember(sealed, name))
  return Buffer.concat(texts.map((text) => Buffer.from(text || '', 'base64')))
}

/**
 * Runs a task under a lock of this user's data folder.
 *
 * @throws {RetryableError} when the lock stays taken.
 */
export async function withLock<T>(
  deps: StoreDeps,
  name: string,
  task: () => Promise<T>,
): Promise<T> {
  const folder = join(deps.folder, 'locks')
  const lease = await acquireLock({ ...deps, folder }, name, { waitMs: LOCK_WAIT_MS })
  if (lease === undefined) throw new RetryableError('Another process keeps the tokens locked')
  try {
    return await task()
  } finally {
    await lease.release()
  }
}

/** Creates the store of dynamic registrations: one file for each issuer, private like the tokens. */
export function createClientStore(deps: StoreDeps): ClientStore {
  const keyOf = (issuer: string) => createHash('sha256').update(issuer).digest('hex').slice(0, 32)
  const pathOf = (issuer: string) => join(deps.folder, 'clients', `${keyOf(issuer)}.json`)

  const load: ClientStore['load'] = async (issuer) => {
    const text = await readPrivateFile(pathOf(issuer))
    const file = text === undefined ? undefined : tryParseJson(text)
    if (!isObject(file) || file['schema'] !== SCHEMA || file['issuer'] !== issuer) return undefined
    const client = parseClient(file['client'])
    if (client === undefined) return undefined
    return {
      client,
      secretExpiresAt: numberMember(file, 'secretExpiresAt'),
      ...stringMembers(file, ['requestedScope', 'grantedScope']),
      answeredUris: stringsMember(file, 'answeredUris'),
    }
  }

  return {
    load,
    async save(issuer, registration) {
      const text = JSON.stringify({ schema: SCHEMA, issuer, ...registration })
      await writePrivateFile(pathOf(issuer), `${text}\n`)
    },
    async forget(issuer, clientId) {
      // Another process may have registered a new client meanwhile; that one stays.
      if ((await load(issuer))?.client.id === clientId) await removeFile(pathOf(issuer))
    },
    exclusively: (issuer, task) => withLock(deps, `client-${keyOf(issuer)}`, task),
  }
}
