import { Redis } from 'iovalkey'
import { messageOf } from '../util/errors.js'
import type { Clock } from '../util/runtime.js'
import type { StoreAddress } from '../util/store-url.js'

/** A connection to the store. It ends for good with its first failure. */
export interface StoreLink {
  /**
   * Decides on one request: all limits let it through and count it, or none counts it.
   *
   * @param keys Those of rates, then those of slots.
   * @param values How many of the keys are rates, how long a window and a slot last in milliseconds, the
   *   slot's name, and the limit of each key.
   * @returns The number of the limit that is reached, from 1, and the milliseconds until its window
   *   ends; 0 when none is.
   */
  admit(keys: readonly string[], values: readonly (string | number)[]): Promise<unknown>
  /** Takes slots, whether they are still held there or not; each key has the name at its place. */
  keep(keys: readonly string[], names: readonly string[], ms: number): Promise<unknown>
  /** Gives a slot back. */
  free(keys: readonly string[], name: string): void
  close(): void
}

/** Opens a connection, or rejects when that takes too long. */
export type OpenLink = (
  address: StoreAddress,
  options: { clock: Clock; ms: number; onEnd: (why: string) => void },
) => Promise<StoreLink>

/**
 * All limits of a request in one step, as a request that one of them refuses must not count at the others.
 * A slot is a member of a sorted set until the time that is its score, so that those of a process that
 * died end by themselves.
 */
const ADMIT = `
local rates = tonumber(ARGV[1])
local reached, wait = 0, 0
for i = 1, rates do
  local count = tonumber(redis.call('GET', KEYS[i]) or '0')
  if count >= tonumber(ARGV[4 + i]) then
    local left = redis.call('PTTL', KEYS[i])
    if left < 0 then
      left = tonumber(ARGV[2])
      redis.call('PEXPIRE', KEYS[i], left)
    end
    if left >= wait then reached, wait = i, left end
  end
end
if reached > 0 then return {reached, wait} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = rates + 1, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  if redis.call('ZCARD', KEYS[i]) >= tonumber(ARGV[4 + i]) then return {i, 0} end
end
for i = 1, rates do
  if redis.call('INCR', KEYS[i]) == 1 then redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
end
for i = rates + 1, #KEYS do
  redis.call('ZADD', KEYS[i], now + ARGV[3], ARGV[4])
  redis.call('PEXPIRE', KEYS[i], ARGV[3])
end
return {0, 0}`

const KEEP = `
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, ends, ARGV[1 + i])
  redis.call('PEXPIRE', key, ARGV[1])
end
return 0`

/** How the library says that the connection ended. */
const CLOSED = /^Connection is closed/

/** What the library makes of a script: the number of keys, the keys, the values. */
type Script = (count: number, ...rest: (string | number)[]) => Promise<unknown>

/** Opens a connection to a Valkey or Redis server. */
export const openValkey: OpenLink = async (address, { clock, ms, onEnd }) => {
  const { host, port, isTls, username, password, db } = address
  const redis = new Redis({
    ...{ host, port, lazyConnect: true, enableReadyCheck: false, enableOfflineQueue: false },
    ...{
      connectTimeout: ms,
      keepAlive: 30_000,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
    },
    ...(isTls && { tls: {} }),
    scripts: { admitRequest: { lua: ADMIT }, keepSlots: { lua: KEEP } },
  })
  let why = 'the connection ended'
  // without a listener the library writes to the console
  redis.on('error', (error: Error) => {
    why = error.message
  })
  const scripts = redis as unknown as Record<'admitRequest' | 'keepSlots', Script>
  const link: StoreLink = {
    admit: (keys, values) => scripts.admitRequest(keys.length, ...keys, ...values),
    keep: (keys, names, life) => scripts.keepSlots(keys.length, ...keys, life, ...names),
    free(keys, name) {
      for (const key of keys) redis.zrem(key, name).catch(() => undefined)
    },
    close: () => redis.disconnect(),
  }
  async function logIn(): Promise<void> {
    await redis.connect()
    if (password !== undefined) {
      await (username === undefined ? redis.auth(password) : redis.auth(username, password))
    }
    if (db > 0) await redis.select(db)
    // says whether the server is ready, and whether we may run scripts there
    await link.admit([], [0, 1, 1, ''])
  }
  let cancel = () => {}
  const late = new Promise<never>((_resolve, reject) => {
    cancel = clock.after(ms, () => reject(new Error(`it did not answer within ${ms} ms`)))
  })
  try {
    await Promise.race([logIn(), late])
  } catch (error) {
    link.close()
    // that the connection ended says less than why
    throw CLOSED.test(messageOf(error)) ? new Error(why) : error
  } finally {
    cancel()
  }
  redis.on('end', () => onEnd(why))
  return link
}
