import { describe, expect, it } from 'vitest'
import type { ProxyConfig } from '../../../src/config/types.js'
import { sessionSecrets } from '../../../src/serve/session-secrets.js'
import { createLogger } from '../../../src/util/logger.js'
import { createTestRuntime } from '../../helpers/runtime.js'

function ask(session: ProxyConfig['session'], vercel?: { hosts: string[] }) {
  const { io, clock, stderr } = createTestRuntime()
  const redact = (text: string) => text
  const logger = createLogger({ io, clock, level: 'info', format: 'json', redact })
  const server = { vercel } as ProxyConfig['server']
  return { secrets: sessionSecrets({ session, server }, logger), log: stderr() }
}

describe('sessionSecrets', () => {
  it('are the configured ones, the current first, without a warning', () => {
    const { secrets, log } = ask({ secret: 'now', previousSecrets: ['before', 'long ago'] })
    expect(secrets).toEqual(['now', 'before', 'long ago'])
    expect(log).toBe('')
    expect(ask({ secret: 'now', previousSecrets: [] }, { hosts: [] }).secrets).toEqual(['now'])
  })

  it('are made anew in each process when none is configured, with a warning', () => {
    const [one, two] = [0, 1].map(() => ask({ secret: undefined, previousSecrets: ['before'] }))
    expect(one?.secrets).toHaveLength(1)
    expect(one?.secrets[0]).toMatch(/^[0-9a-f]{64}$/)
    expect(one?.secrets).not.toEqual(two?.secrets)
    expect(one?.log).toContain('SESSION_SECRET is not set')
    expect(one?.log).not.toContain(one?.secrets[0])
  })

  it('are none on Vercel when none is configured, with a warning', () => {
    const { secrets, log } = ask({ secret: undefined, previousSecrets: [] }, { hosts: [] })
    expect(secrets).toEqual([])
    expect(log).toContain('no_session_secret')
  })
})
