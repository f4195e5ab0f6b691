import { createPrivateKey, createPublicKey } from 'node:crypto'
import { join } from 'node:path'
import { exportJWK } from 'jose'
import { z } from 'zod'
import { ProxyError } from '../../util/errors.js'
import { tryParseJson } from '../../util/json.js'
import { readPrivateFile, writePrivateFile } from '../../util/private-files.js'
import { jwkOf, type KeyRing, type SigningKey } from './keys.js'
import { connectionSchema, projectIdSchema, serverIdSchema, stringList } from './options.js'
import type { EmulatorGrant } from './records.js'
import { remember, type State } from './state.js'

const FILE = 'emulator.json'

/** Limit of stored entries of each kind; the oldest are dropped. */
const MOST = 500

const keptSchema = z.strictObject({
  version: z.literal(1),
  projectId: projectIdSchema,
  serverId: serverIdSchema,
  port: z.int().min(1).max(65_535),
  machineClient: z
    .strictObject({ clientId: z.string(), clientSecret: z.string().min(1) })
    .optional(),
  /** The first one signs. */
  keys: z.array(z.strictObject({ kid: z.string(), privateKey: z.string() })).min(1),
  clients: z.array(
    z.strictObject({
      clientId: z.string(),
      clientSecret: z.string().optional(),
      name: z.string(),
      redirectUris: stringList,
      policy: z.boolean(),
      machine: z.boolean(),
      device: z.boolean(),
    }),
  ),
  connections: z.array(connectionSchema),
  grants: z.array(
    z.strictObject({
      clientId: z.string(),
      surface: z.enum(['agentic', 'project']),
      scopes: stringList,
      resources: stringList,
      userId: z.string().optional(),
      tenant: z.string().optional(),
      jkt: z.string().optional(),
      steppedUp: z.boolean().optional(),
      revoked: z.boolean(),
    }),
  ),
  refreshTokens: z.array(
    z.strictObject({ token: z.string(), grant: z.int().min(0), expiresAt: z.number() }),
  ),
})

/** The state that an emulator stores in its folder for its next start. */
export type KeptState = z.output<typeof keptSchema>

/**
 * Reads the state that an emulator stored in a folder; `undefined` when there is none yet.
 *
 * @throws {ProxyError} `CONFIG_INVALID` for a folder that others can read, and for a damaged file.
 */
export async function readKept(folder: string): Promise<KeptState | undefined> {
  const path = join(folder, FILE)
  const text = await readPrivateFile(path).catch((error) => {
    throw aboutFolder(error)
  })
  if (text === undefined) return undefined
  const result = keptSchema.safeParse(tryParseJson(text))
  const damaged = (why: string) =>
    new ProxyError('CONFIG_INVALID', `The emulator's state in ${path} is damaged: ${why}`, {
      hint: 'Put the file back as it was, or delete it: the emulator then starts a new project.',
    })
  if (!result.success) {
    const [issue] = result.error.issues
    throw damaged(`${issue?.path.join('.') || 'the file'}: ${issue?.message}`)
  }
  const kept = result.data
  if (kept.refreshTokens.some(({ grant }) => grant >= kept.grants.length)) {
    throw damaged('a refresh token without its grant')
  }
  for (const { kid, privateKey } of kept.keys) {
    try {
      if (createPrivateKey(privateKey).asymmetricKeyType === 'rsa') continue
    } catch {}
    throw damaged(`the key ${kid} is no RSA key that can be read`)
  }
  return kept
}

/** Makes the ring of the keys that were kept. */
export async function keptKeys({ keys }: KeptState): Promise<KeyRing> {
  const published = await Promise.all(keys.map(importKey))
  return { current: published[0] as SigningKey, published }
}

async function importKey({ kid, privateKey: pem }: KeptState['keys'][number]): Promise<SigningKey> {
  const privateKey = createPrivateKey(pem)
  const publicKey = createPublicKey(privateKey)
  return { kid, privateKey, publicKey, jwk: jwkOf(kid, await exportJWK(publicKey)) }
}

/** Puts clients, connections and refresh tokens back. */
export function restore(state: State, kept: KeptState): void {
  for (const client of kept.clients) {
    state.clients.set(client.clientId, { ...client, clientSecret: client.clientSecret })
    remember(state, client.clientSecret)
  }
  for (const item of kept.connections) {
    state.connected.push(item)
    remember(state, item.accessToken, item.refreshToken)
  }
  const grants = kept.grants.map((grant): EmulatorGrant => ({ ...grant, tenant: grant.tenant }))
  for (const { token, grant, expiresAt } of kept.refreshTokens) {
    const held = grants[grant]
    if (held !== undefined) state.refreshTokens.set(token, { grant: held, expiresAt, used: false })
    remember(state, token)
  }
}

/**
 * Makes the function that writes what has changed since it was last called.
 *
 * @throws {ProxyError} `CONFIG_INVALID`, from that function, when the folder cannot be written.
 */
export function keeper(folder: string, state: State, port: number): () => Promise<void> {
  let written = ''
  let writing = Promise.resolve()
  return () => {
    writing = writing
      .catch(() => undefined)
      .then(async () => {
        const text = JSON.stringify(snapshot(state, port))
        if (text === written) return
        await writePrivateFile(join(folder, FILE), text, { durable: false }).catch((error) => {
          throw aboutFolder(error)
        })
        written = text
      })
    return writing
  }
}

function snapshot(state: State, port: number): KeptState {
  const { projectId, serverId, machineClient, keys, clients, connected, clock } = state
  const tokens = [...state.refreshTokens]
    .filter(([, { used, grant, expiresAt }]) => !used && !grant.revoked && expiresAt > clock.now())
    .slice(-MOST)
  const grants = [...new Set(tokens.map(([, { grant }]) => grant))]
  return {
    ...{ version: 1, projectId, serverId, port, machineClient },
    keys: keys.published.map(({ kid, privateKey }) => ({
      kid,
      privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    })),
    clients: [...clients.values()]
      .slice(-MOST)
      .map(({ clientId, clientSecret, name, redirectUris, policy, machine, device }) => ({
        ...{ clientId, clientSecret, name, redirectUris: [...redirectUris] },
        ...{ policy, machine, device },
      })),
    connections: connected.slice(-MOST),
    grants: grants.map((grant) => ({
      ...grant,
      scopes: [...grant.scopes],
      resources: [...grant.resources],
    })),
    refreshTokens: tokens.map(([token, { grant, expiresAt }]) => ({
      token,
      grant: grants.indexOf(grant),
      expiresAt,
    })),
  }
}

/** Gives a refusal of a folder our own hint: the shared one speaks of the folder for sign-ins. */
export function aboutFolder(error: unknown): unknown {
  if (!(error instanceof ProxyError) || !error.hint?.includes('MCP_DESCOPE_HOME')) return error
  return new ProxyError(error.code, error.message, {
    hint: 'Give "--state" a folder of your own that you can write to.',
    cause: error,
  })
}
