import { describe, expect, it } from 'vitest'
import type { SignInNeed, SignInPort } from '../../../src/auth/tokens/token-store.js'
import { createSignInCoordinator } from '../../../src/bridge/sign-in-coordinator.js'
import { ProxyError } from '../../../src/util/errors.js'
import { createLogger } from '../../../src/util/logger.js'
import { createManualClock } from '../../helpers/runtime.js'

/** A sign-in that comes to nothing for the targets in `refusing`. */
function open(refusing: Set<string> = new Set()) {
  const clock = createManualClock()
  const asked: SignInNeed[] = []
  const ended: string[] = []
  const elsewhere = new Set<string>()
  const port: SignInPort = {
    async ensure({ interactive: _interactive, signal: _signal, ...need }) {
      asked.push(need)
      const { target = '' } = need
      if (refusing.has(target)) throw new ProxyError('SIGN_IN_FAILED', `not to ${target}`)
    },
    state: { phase: 'done', isOtherClient: false },
    onChange: () => () => undefined,
  }
  const coordinator = createSignInCoordinator({
    clock,
    logger: createLogger({
      io: { err() {} },
      clock,
      level: 'silent',
      format: 'text',
      redact: (text) => text,
    }),
    target: 'docs',
    open: async () => port,
    hasToken: async ({ target = '' }) => elsewhere.has(target),
    signal: new AbortController().signal,
    onDone: () => ended.push('done'),
    onFailed: () => ended.push('failed'),
  })
  const begin = async (...needs: SignInNeed[]) => {
    for (const need of needs) coordinator.note(need)
    coordinator.begin()
    await coordinator.settled()
  }
  return { clock, coordinator, asked, ended, elsewhere, begin }
}

const targets = (needs: readonly SignInNeed[]) => needs.map(({ target }) => target)

describe('createSignInCoordinator', () => {
  it('signs in to all targets that need it, one after the other, and then is done', async () => {
    const { coordinator, asked, ended, begin } = open()
    await begin({ target: 'b' }, { target: 'a', refused: 'old' })
    expect(asked).toEqual([{ target: 'b' }, { target: 'a', refused: 'old' }])
    expect(ended).toEqual(['done'])
    expect(coordinator.need).toBeUndefined()
  })

  it('begins with the next target after one that nobody signed in to', async () => {
    const refusing = new Set(['a'])
    const { coordinator, asked, ended, begin } = open(refusing)
    await begin({ target: 'a' }, { target: 'b' })
    expect(coordinator.need).toEqual({ target: 'b' })
    await begin()
    expect(targets(asked)).toEqual(['a', 'b', 'a'])
    refusing.clear()
    await begin()
    expect(ended).toEqual(['failed', 'failed', 'done'])
    expect(coordinator.need).toBeUndefined()
  })

  it('starts nothing when the need was met already', async () => {
    const { asked, ended, begin } = open()
    await begin({ refused: 'old' })
    await begin()
    expect(asked).toEqual([{ refused: 'old' }])
    expect(ended).toEqual(['done'])
  })

  it('tries a target once that refuses the token of a new sign-in, and others all the same', async () => {
    const { coordinator, asked, begin } = open()
    await begin({ target: 'a', refused: 'old' })
    await begin({ target: 'b', refused: 'old' })
    await begin({ target: 'a', refused: 'new' })
    expect(targets(asked)).toEqual(['a', 'b'])
    expect(coordinator.view).toMatchObject({
      phase: 'failed',
      error: { code: 'CREDENTIAL_REFUSED' },
    })
    coordinator.markTokenAccepted()
    await begin()
    expect(targets(asked)).toEqual(['a', 'b', 'a'])
  })

  it('goes on when somebody signed in to one of the targets in another process', async () => {
    const refusing = new Set(['a', 'b'])
    const { clock, coordinator, ended, elsewhere, begin } = open(refusing)
    await begin({ target: 'a' }, { target: 'b' })
    await clock.advance(3_000)
    expect(ended).toEqual(['failed'])
    elsewhere.add('b')
    await clock.advance(3_000)
    expect(ended).toEqual(['failed', 'done'])
    expect(coordinator.need).toEqual({ target: 'a' })
  })
})
