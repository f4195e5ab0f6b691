import type { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import type { Clock } from '../../util/runtime.js'

export interface TargetSessionsOptions {
  clock: Clock
  /** Largest number of sessions; beyond it, the one idle longest is closed. */
  max: number
  /** How long a session without any open request is kept, milliseconds. */
  idleMs: number
}

export interface TargetSessions {
  readonly size: number
  add(id: string, transport: StreamableHTTPServerTransport): void
  /** Returns the session's transport and marks the session as used. */
  use(id: string): StreamableHTTPServerTransport | undefined
  /** Marks a request as open; the returned function marks it as done. */
  hold(id: string): () => void
  remove(id: string): void
  /** Closes every session. */
  close(): Promise<void>
}

interface Session {
  transport: StreamableHTTPServerTransport
  lastUsed: number
  open: number
}

/** Creates the table of sessions, limited in number and idle time. */
export function createTargetSessions({
  clock,
  max,
  idleMs,
}: TargetSessionsOptions): TargetSessions {
  const sessions = new Map<string, Session>()
  let cancelSweep: (() => void) | undefined

  const drop = (id: string) => {
    const session = sessions.get(id)
    sessions.delete(id)
    return session?.transport.close().catch(() => {})
  }

  const sweep = () => {
    cancelSweep = undefined
    const limit = clock.now() - idleMs
    for (const [id, session] of sessions) {
      if (session.open === 0 && session.lastUsed <= limit) void drop(id)
    }
    scheduleSweep()
  }

  const scheduleSweep = () => {
    if (sessions.size > 0) cancelSweep ??= clock.after(idleMs, sweep)
  }

  const makeRoom = () => {
    while (sessions.size >= max) {
      const byAge = [...sessions].sort(([, a], [, b]) => a.lastUsed - b.lastUsed)
      const [id] = byAge.find(([, session]) => session.open === 0) ?? byAge[0] ?? []
      if (id === undefined) return
      void drop(id)
    }
  }

  return {
    get size() {
      return sessions.size
    },
    add(id, transport) {
      makeRoom()
      sessions.set(id, { transport, lastUsed: clock.now(), open: 0 })
      scheduleSweep()
    },
    use(id) {
      const session = sessions.get(id)
      if (session !== undefined) session.lastUsed = clock.now()
      return session?.transport
    },
    hold(id) {
      const session = sessions.get(id)
      if (session === undefined) return () => {}
      session.open += 1
      return () => {
        session.open -= 1
        session.lastUsed = clock.now()
      }
    },
    remove(id) {
      sessions.delete(id)
    },
    async close() {
      cancelSweep?.()
      await Promise.all([...sessions.keys()].map(drop))
    },
  }
}
