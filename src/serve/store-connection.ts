import { messageOf } from '../util/errors.js'
import type { Logger } from '../util/logger.js'
import { printable } from '../util/redact.js'
import type { Clock } from '../util/runtime.js'
import type { StoreAddress } from '../util/store-url.js'
import { cutText } from '../util/text.js'
import type { OpenLink, StoreLink } from './valkey.js'

/** For a connection, until it can be used; and for what no request waits for. */
export const CONNECT_MS = 1_000

const FIRST_PAUSE_MS = 100

const LAST_PAUSE_MS = 5_000

/** A connection that held so long was a good one. */
const STEADY_MS = 30_000

/** Of what the store says of itself. */
const MAX_WHY = 200

/** A connection that is made again whenever it ends. */
export interface StoreConnection {
  /** `undefined` while the store is away. */
  link(): StoreLink | undefined
  /** The same, and one that is told just now what it has to know. */
  opened(): StoreLink | undefined
  /** Gives a connection up, with the end of a sentence that says why. */
  lose(lost: StoreLink, why: string): void
  close(): void
}

interface ConnectionOptions {
  address: StoreAddress
  open: OpenLink
  clock: Clock
  logger: Logger
  /** Tells the store what it has to know. */
  onConnect: (link: StoreLink) => Promise<void>
}

/**
 * Connects to the store, and resolves when that has succeeded or failed once. That it is away is told
 * once, as is that it is back.
 */
export async function connectStore(options: ConnectionOptions): Promise<StoreConnection> {
  const { address, open, clock, logger, onConnect } = options
  const place = `${address.host}:${address.port}`
  let link: StoreLink | undefined
  let opened: StoreLink | undefined
  let pauseMs = FIRST_PAUSE_MS
  let connectedAt = 0
  let isTold = false
  let isClosed = false

  async function connect(): Promise<void> {
    let made: StoreLink | undefined
    let ended: string | undefined
    let wasUsed = false
    const onEnd = (why: string) => {
      ended = why
      if (made !== undefined) lose(made, why)
    }
    try {
      made = await open(address, { clock, ms: CONNECT_MS, onEnd })
      opened = made
      await onConnect(made)
      if (ended !== undefined) throw new Error(ended)
      if (isClosed) return made.close()
      link = made
      wasUsed = true
      connectedAt = clock.now()
      // what this process decided alone in the meantime
      await onConnect(made)
      if (!isTold || link !== made) return
      isTold = false
      const text = `The limit store ${place} is back: limits count for all processes again`
      logger.info('limit_store_back', text)
    } catch (error) {
      if (made !== undefined && wasUsed) return lose(made, messageOf(error))
      opened = undefined
      made?.close()
      away(messageOf(error))
    }
  }

  function lose(lost: StoreLink, why: string): void {
    if (link !== lost) return
    link = undefined
    opened = undefined
    lost.close()
    if (clock.now() - connectedAt >= STEADY_MS) pauseMs = FIRST_PAUSE_MS
    away(why)
  }

  function away(why: string): void {
    if (isClosed) return
    clock.after(pauseMs, () => {
      if (!isClosed) void connect()
    })
    pauseMs = Math.min(pauseMs * 2, LAST_PAUSE_MS)
    if (isTold) return
    isTold = true
    const reason = cutText(printable(why), MAX_WHY)
    const text = `The limit store ${place} is away: ${reason}; each process counts alone until it is back`
    logger.warn('limit_store_down', text)
  }

  await connect()
  return {
    link: () => link,
    opened: () => opened,
    lose,
    close() {
      isClosed = true
      opened?.close()
      link = undefined
    },
  }
}
